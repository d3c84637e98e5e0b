"""One chain behind a JSON-RPC address: calls, and transactions of one key that are mined before they are believed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from jobs.errors import BadInput, KilnetError, Refused, Unavailable
from jobs.pricing import display_kiln
from jobs.wire import ChainInfo, Info
from node.keys import NodeKey

__all__ = ["Chain", "ContractSaysNo", "chain_of"]

_TIP_WEI = 1_000_000_000
_MINED_SECONDS = 120.0
_STATES = ("unknown to the chain", "open", "proposed", "disputed", "finalized", "refunded")
_REVERTS: dict[str, tuple[str, Callable[[tuple[Any, ...]], str]]] = {
    "AlreadyRegistered": ("address", lambda _: "this operator is registered already"),
    "NotRegistered": ("address", lambda a: f"{a[0]} is no operator: register first"),
    "NodeTaken": ("address", lambda _: "this node's key answers to another operator, or did: use a fresh --data"),
    "InvalidNodeSignature": ("address,address", lambda _: "the node's key did not accept this operator on this chain"),
    "InsufficientAllowance": (
        "address,uint256,uint256",
        lambda a: f"the permit was not taken (expired, or for another chain) and only {a[1]} units are allowed: again",
    ),
    "ERC20InsufficientBalance": (
        "address,uint256,uint256",
        lambda a: (
            f"{a[0]} holds {display_kiln(a[1])} KILN and {display_kiln(a[2])} are to be staked: get more, or name less "
            "with --stake"
        ),
    ),
    "ERC2612ExpiredSignature": ("uint256", lambda a: f"the permit expired at {a[0]} (Unix time): try again"),
    "NothingToClaim": (
        "address,uint256",
        lambda a: (
            f"nothing is left to claim: all {display_kiln(a[1])} KILN were claimed before; `kilnet node earnings` says "
            "what is on its way"
        ),
    ),
    "InvalidProof": (
        "address,uint256",
        lambda _: "the gateway's proof does not fit the root on chain: a new epoch was just posted; try again",
    ),
    "ClaimsAboveTotal": ("uint256,uint256", lambda _: "the root on chain does not cover this claim: tell the operator"),
    "StakeTooSmall": (
        "address,address,uint256,uint256",
        lambda a: f"{display_kiln(a[2])} KILN are at stake and {display_kiln(a[3])} were to leave: name less, or all",
    ),
    "StakeLocked": (
        "address,uint256,uint256",
        lambda a: (
            f"{display_kiln(a[2])} KILN are locked for open jobs: leave so much, or wait until the jobs are final"
        ),
    ),
    "NothingUnbonding": ("address,address", lambda _: "nothing is unbonding: begin with `kilnet node unbond`"),
    "StillUnbonding": (
        "uint256,uint256",
        lambda a: f"what is unbonding can be withdrawn in {(a[1] - a[0]) / 3600:.1f} h: try again then",
    ),
    "NoBond": (
        "address",
        lambda a: (
            f"there is no bond of {a[0]}: the acknowledgement was changed, or signed by somebody else, for another "
            "chain or another contract"
        ),
    ),
    "JobNotRefunded": (
        "bytes32,uint8",
        lambda a: f"the job is {_STATES[a[1]]}: the bond owes only what was delivered for a job that was refunded",
    ),
    "AcknowledgementPaid": (
        "bytes32,uint256",
        lambda a: f"the bond has paid {display_kiln(a[1])} KILN for this tile before: nothing more is owed for it",
    ),
    "BondExhausted": (
        "address,uint256",
        lambda a: (
            f"the bond of {a[0]} can pay nothing more: {display_kiln(a[1])} KILN can be claimed when somebody adds "
            "to it"
        ),
    ),
    "NotOpen": ("address", lambda a: f"{a[0]} takes no stake of others"),
}
_SELECTORS = {keccak(text=f"{name}({types})")[:4]: name for name, (types, _) in _REVERTS.items()}


class ContractSaysNo(Refused):
    """A contract refused the call; `name` is its custom error, or empty."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message, code="chain_refused")
        self.name = name


class Chain:
    """The chain at `url`, which has to be `chain_id`. Raises BadInput for another one, Unavailable where nothing
    answers."""

    def __init__(self, url: str, chain_id: int) -> None:
        self.url, self.chain_id = url, chain_id
        local = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(timeout=20, trust_env=not local)
        actual = int(self.rpc("eth_chainId"), 16)
        if actual != chain_id:
            raise BadInput(
                f"{url} serves chain {actual}, and the gateway's contracts live on chain {chain_id}: name an RPC of "
                "that chain with --rpc",
                code="wrong_chain",
            )

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call. Raises Unavailable, ContractSaysNo, Refused with the chain's own words."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            answer = self._http.post(self.url, json=body)
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Unavailable(
                f"no RPC of a chain answers at {self.url} ({type(error).__name__}): name one with --rpc, or try later"
            ) from error
        if not isinstance(found, dict) or ("result" not in found and "error" not in found):
            raise Unavailable(f"what answers at {self.url} is no RPC of a chain: name one with --rpc")
        if found.get("error"):
            raise _refusal(found["error"])
        return found["result"]

    def now(self) -> int:
        """The time of the latest block, in Unix seconds: what deadlines are held against, whatever this machine's clock
        says."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def read(self, contract: str, signature: str, returns: Sequence[str], *arguments: Any) -> tuple[Any, ...]:
        """What a view such as `balanceOf(address)` says now."""
        call = {"to": to_checksum_address(contract), "data": _data(signature, arguments)}
        raw = bytes.fromhex(str(self.rpc("eth_call", call, "latest"))[2:])
        try:
            return tuple(decode(list(returns), raw))
        except Exception as error:
            raise Unavailable(f"there is no contract of kilnet at {contract} on {self.url}") from error

    def send(self, key: NodeKey, contract: str, signature: str, *arguments: Any) -> str:
        """Send a call of `key`'s account and wait until it is mined; its hash. Raises as `rpc`, and BadInput where the
        account cannot pay the gas."""
        call = {"from": key.address, "to": to_checksum_address(contract), "data": _data(signature, arguments)}
        gas = int(self.rpc("eth_estimateGas", call), 16) * 5 // 4
        base = int(self.rpc("eth_getBlockByNumber", "latest", False).get("baseFeePerGas", "0x0"), 16)
        price = 2 * base + _TIP_WEI
        balance = int(self.rpc("eth_getBalance", key.address, "latest"), 16)
        if balance < gas * price:
            raise BadInput(
                f"{key.address} has {balance} wei and this transaction may cost {gas * price}: send it some of the "
                f"chain's own coin (on a local stack: `kilnet faucet {key.address}`)",
                code="no_gas_money",
            )
        raw = key.sign_transaction(
            {
                "chainId": self.chain_id, "nonce": int(self.rpc("eth_getTransactionCount", key.address, "pending"), 16),
                "to": call["to"], "data": call["data"], "value": 0, "gas": gas, "type": 2,
                "maxPriorityFeePerGas": _TIP_WEI, "maxFeePerGas": price,
            }
        )  # fmt: skip
        sent = str(self.rpc("eth_sendRawTransaction", "0x" + raw.hex()))
        until, pause = time.monotonic() + _MINED_SECONDS, 0.01
        while (receipt := self.rpc("eth_getTransactionReceipt", sent)) is None:
            if time.monotonic() > until:
                raise Unavailable(
                    f"transaction {sent} was not mined in {_MINED_SECONDS:.0f} s: look for it, then again"
                )
            time.sleep(pause)
            pause = min(1.0, pause * 2)
        if int(receipt["status"], 16) != 1:
            self.rpc("eth_call", call, receipt["blockNumber"])  # raises the reason, where it still holds
            raise ContractSaysNo("", f"transaction {sent} was refused by the contract: try again")
        return sent


def chain_of(info: Info, rpc: str | None) -> tuple[Chain, ChainInfo, str]:
    """The gateway's chain, at `rpc` or where the gateway says; its contracts; and its registry. Raises BadInput,
    Unavailable."""
    where = info.chain
    if where is None:
        raise Unavailable("the gateway reaches no chain at the moment: try again later")
    url = rpc or where.rpc_url
    if url is None:
        raise BadInput("the gateway keeps its chain's address private: name an RPC of your own with --rpc")
    if where.registry is None:
        raise BadInput("this gateway's deployment has no registry: nodes need no stake there, so leave it out")
    return Chain(url, where.chain_id), where, where.registry


def _data(signature: str, arguments: Sequence[Any]) -> str:
    packed = encode(_types(signature), list(arguments))
    return "0x" + (keccak(text=signature)[:4] + packed).hex()


def _types(signature: str) -> list[str]:
    """The arguments' types; a tuple's stay together."""
    types, depth = [""], 0
    for letter in signature[signature.index("(") + 1 : -1]:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            types.append("")
        else:
            types[-1] += letter
    return types if types[0] else []


def _refusal(error: Any) -> KilnetError:
    """The chain's error as ours, in one line."""
    message = " ".join(str(error.get("message", error) if isinstance(error, dict) else error).split())
    data = error.get("data") if isinstance(error, dict) else None
    if isinstance(data, str) and data.startswith("0x") and len(data) >= 10:
        raw = bytes.fromhex(data[2:])
        name = _SELECTORS.get(raw[:4])
        if name is not None:
            types, sentence = _REVERTS[name]
            return ContractSaysNo(name, f"{sentence(tuple(decode(types.split(','), raw[4:])))} [{name}]")
        return ContractSaysNo("", f"the contract refused the call [0x{raw[:4].hex()}]")
    if "insufficient funds" in message.lower():
        return BadInput(f"the account cannot pay the gas ({message}): send it some of the chain's own coin")
    return Refused(f"the chain refused the call: {message}; change what that names")
