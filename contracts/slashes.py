"""What an operator was slashed, by whom and why, from the chain's events alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode
from hexbytes import HexBytes
from web3 import Web3

from contracts.logs import logs_of
from contracts.reader import ChainReader
from contracts.reverts import translated

__all__ = ["Slash", "slashes_of"]

_SLASHED = bytes(Web3.keccak(text="Slashed(address,address,uint256,uint256)"))
_EQUIVOCATION = bytes(Web3.keccak(text="EquivocationProven(address,address,bytes32,uint64,address)"))
_CLOSED = bytes(Web3.keccak(text="ChallengeClosed(uint256,uint8,uint16)"))


@dataclass(frozen=True)
class Slash:
    """One slash."""

    tx: str
    block: int
    amount: int
    """Units that all who stake with the operator lost together."""
    finder: str
    why: str
    """In words."""


def slashes_of(chain: ChainReader, operator: str) -> list[Slash]:
    """All slashes of an operator, the latest first; none where the deployment has no registry. Raises ChainError."""
    if not chain.addresses.registry:
        return []
    who = "0x" + bytes.fromhex(operator[2:]).rjust(32, b"\0").hex()
    found = []
    for log in logs_of(chain, chain.addresses.registry, ["0x" + _SLASHED.hex(), who]):
        amount, _ = decode(["uint256", "uint256"], bytes(log["data"]))
        found.append(
            Slash(
                tx="0x" + bytes(log["transactionHash"]).hex(),
                block=int(log["blockNumber"]),
                amount=int(amount),
                finder=Web3.to_checksum_address(bytes(log["topics"][2])[-20:]),
                why=_why(chain, bytes(log["transactionHash"]), int(log["logIndex"])),
            )
        )
    return found[::-1]


def _why(chain: ChainReader, tx: bytes, place: int) -> str:
    """Disputes tells of the reason just before or after the registry tells of the slash."""
    with translated(chain.url):
        logs = chain.web3.eth.get_transaction_receipt(HexBytes(tx))["logs"]
    said = [log for log in logs if str(log["address"]) == chain.addresses.disputes]
    for log in sorted(said, key=lambda log: abs(int(log["logIndex"]) - place)):
        if (words := _told(log)) is not None:
            return words
    return "for a reason that its transaction does not tell"


def _told(log: Mapping[str, Any]) -> str | None:
    kind = bytes(log["topics"][0])
    if kind == _EQUIVOCATION:
        node = Web3.to_checksum_address(bytes(log["topics"][1])[-20:])
        return f"node {node} signed two results for one lease"
    if kind == _CLOSED:
        number = int.from_bytes(bytes(log["topics"][1]), "big")
        _, bps = decode(["uint8", "uint16"], bytes(log["data"]))
        return f"auditors upheld challenge {number} ({bps / 100:g}%): kilnet dispute show {number}"
    return None
