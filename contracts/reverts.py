"""Turns what a chain answers on failure into the errors of ``contracts.errors``, in plain words."""

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address
from web3.exceptions import (
    BadFunctionCallOutput,
    BadResponseFormat,
    ContractLogicError,
    ProviderConnectionError,
    RequestTimedOut,
    TooManyRequests,
    Web3RPCError,
)

from contracts.artifacts import errors_abi
from contracts.errors import (
    ChainError,
    ChainUnavailable,
    NonceUsed,
    NotDeployed,
    NotEnoughGasMoney,
    Reverted,
    TransactionRefused,
)
from contracts.sentences import SENTENCES

__all__ = ["decode_revert", "translated"]

_BUILTIN = {
    bytes.fromhex("08c379a0"): ("Error", ("reason",), ("string",)),
    bytes.fromhex("4e487b71"): ("Panic", ("code",), ("uint256",)),
}


def decode_revert(data: bytes) -> Reverted:
    """The error that a contract reverted with, from its ABI-encoded return data (empty if it gave none)."""
    name, names, types = _by_selector().get(data[:4], ("", (), ()))
    if not name:
        reason = f"0x{data.hex()}" if data else "no reason"
        return Reverted("", {}, f"a contract refused the call and gave {reason}")
    try:
        values = decode(types, data[4:])
    except DecodingError:
        return Reverted(name, {}, f"a contract refused the call: {name}")
    arguments = {
        key: to_checksum_address(value) if kind == "address" else value
        for key, kind, value in zip(names, types, values, strict=True)
    }
    sentence = SENTENCES.get(name)
    if sentence is not None:
        return Reverted(name, arguments, sentence(arguments))
    details = ", ".join(f"{key}={value}" for key, value in arguments.items())
    return Reverted(name, arguments, f"a contract refused the call: {name}({details})")


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raises every failure of the calls inside as a ChainError; ``url`` is named where nothing answers."""
    try:
        yield
    except ContractLogicError as error:
        raise decode_revert(_revert_data(error.data)) from error
    except Web3RPCError as error:
        raise _from_rpc(error) from error
    except BadFunctionCallOutput as error:
        raise NotDeployed(
            f"a contract at {url} does not answer as ours does: the chain was begun anew, or the addresses are "
            "another chain's; deploy again"
        ) from error
    except (json.JSONDecodeError, BadResponseFormat) as error:
        raise ChainUnavailable(
            f"what answers at {url} does not speak as an RPC does ({type(error).__name__}): check the RPC address, or "
            "try later"
        ) from error
    except (requests.RequestException, ProviderConnectionError, RequestTimedOut, TooManyRequests, OSError) as error:
        raise ChainUnavailable(
            f"no answer from the chain at {url} ({type(error).__name__}): start it (`kilnet up` does), or check the "
            "RPC address"
        ) from error


def _from_rpc(error: Web3RPCError) -> ChainError:
    reply: Any = error.rpc_response or {}
    details = reply.get("error", {}) if isinstance(reply, dict) else {}
    message = str(details.get("message", error))
    lower = message.lower()
    if "nonce too low" in lower:
        return NonceUsed("another transaction of this sender was mined with that nonce: look at the state, then retry")
    if "insufficient funds" in lower:
        return NotEnoughGasMoney("the sender has too few of the chain's own coins for gas: send it some")
    if "revert" in lower:
        return decode_revert(_revert_data(details.get("data")))
    return TransactionRefused(f"the chain refused the request: {' '.join(message.split())[:300]}")


def _revert_data(data: Any) -> bytes:
    if isinstance(data, dict):
        data = data.get("data")
    if isinstance(data, str) and data.startswith("0x"):
        return bytes.fromhex(data[2:])
    return b""


@functools.cache
def _by_selector() -> dict[bytes, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    table: dict[bytes, tuple[str, tuple[str, ...], tuple[str, ...]]] = dict(_BUILTIN)
    for entry in errors_abi():
        names = tuple(str(item["name"]) for item in entry["inputs"])
        types = tuple(str(item["type"]) for item in entry["inputs"])
        selector = function_signature_to_4byte_selector(f"{entry['name']}({','.join(types)})")
        table[selector] = (entry["name"], names, types)
    return table
