"""The committed ABI and bytecode of each contract."""

import functools
import json
from importlib.resources import files
from typing import Any

__all__ = ["CONTRACTS", "abi", "bytecode", "errors_abi", "vectors"]

CONTRACTS = (
    "KilnToken",
    "NodeRegistry",
    "JobEscrow",
    "Disputes",
    "RewardDistributor",
    "PriceOracle",
    "CoordinatorBond",
)
"""Everything that is deployed, in that order."""


@functools.cache
def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files("contracts").joinpath("artifacts", f"{name}.json").read_text())
    return content


def abi(contract: str) -> list[dict[str, Any]]:
    """The ABI of one of ``CONTRACTS``."""
    loaded: list[dict[str, Any]] = _load(contract)["abi"]
    return loaded


def bytecode(contract: str) -> str:
    """The creation bytecode, 0x-prefixed hex."""
    return str(_load(contract)["bytecode"])


def errors_abi() -> list[dict[str, Any]]:
    """The custom errors of all contracts: one may revert with another's, as an escrow with the token's."""
    entries = {
        json.dumps(entry, sort_keys=True): entry
        for contract in CONTRACTS
        for entry in abi(contract)
        if entry["type"] == "error"
    }
    return list(entries.values())


def vectors() -> dict[str, Any]:
    """Digests, signatures and leaves that the contracts themselves computed; docs/contracts.md says of what."""
    return _load("vectors")
