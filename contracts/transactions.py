"""Transactions that can be kept before they are sent.

A transaction is prepared (checked, priced, signed) first and sent second. Whoever keeps the prepared bytes in between
can send the very same ones again after a crash of anything: the chain takes each nonce once, so nothing happens twice.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_typing import HexStr
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.exceptions import TransactionNotFound
from web3.middleware import ExtraDataToPOAMiddleware

from contracts.errors import (
    BadSigningKey,
    ChainUnavailable,
    NonceUsed,
    Reverted,
    TransactionPending,
    TransactionRefused,
)
from contracts.reverts import decode_revert, translated

__all__ = ["PreparedTx", "TxResult", "TxSender", "connect"]

_GAS_MARGIN_PERCENT = 125
"""Estimates are exact for the state they were made in; what is mined in between may cost a little more."""
_TIP_WEI = 1_000_000_000
_REPLACE_PERCENT = 125


@dataclass(frozen=True)
class PreparedTx:
    """A signed transaction that was not sent yet. Keep ``hash``, ``nonce`` and ``raw``, then send ``raw``."""

    action: str
    """What it does, in a word: ``propose``, ``finalize``..."""
    hash: str
    """0x-prefixed; known before sending."""
    raw: bytes
    nonce: int
    sender: str
    gas_limit: int
    most_wei: int
    """The most that gas can cost, in the smallest unit of the chain's own coin."""


@dataclass(frozen=True)
class TxResult:
    """A mined transaction."""

    hash: str
    succeeded: bool
    block_number: int
    gas_used: int
    fee_wei: int
    """What the sender paid for gas, in the smallest unit of the chain's own coin."""
    error: Reverted | None
    """Why it failed, if it did."""
    logs: tuple[Mapping[str, Any], ...]

    def checked(self) -> "TxResult":
        """This result if it succeeded; raises its Reverted otherwise."""
        if self.succeeded:
            return self
        raise self.error or Reverted("", {}, f"transaction {self.hash} failed and the chain gave no reason")


def connect(url: str, timeout: float = 20.0) -> Web3:
    """A connection to an RPC; nothing is sent yet. ``timeout`` is in seconds and per request."""
    session = requests.Session()
    # No proxy of the environment may stand between this machine and itself.
    session.trust_env = urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1")
    provider = HTTPProvider(url, {"timeout": timeout}, session=session, exception_retry_configuration=None)
    web3 = Web3(provider)
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    return web3


class TxSender:
    """Prepares, sends and follows the transactions of one account. Not for use by two threads at once."""

    def __init__(self, web3: Web3, url: str, chain_id: int, account: LocalAccount | None) -> None:
        self.web3 = web3
        self.url = url
        self.chain_id = chain_id
        self.account = account

    @property
    def address(self) -> str:
        """The account that sends. Raises BadSigningKey if there is none."""
        return str(self._signer().address)

    def next_nonce(self) -> int:
        """The sender's next free nonce, transactions in the RPC's own queue included."""
        with translated(self.url):
            return int(self.web3.eth.get_transaction_count(self._signer().address, "pending"))

    def confirmed_nonce(self) -> int:
        """How many of the sender's transactions are mined."""
        with translated(self.url):
            return int(self.web3.eth.get_transaction_count(self._signer().address, "latest"))

    def at_higher_fee(self, raw: bytes) -> PreparedTx:
        """The same transaction and nonce at a quarter more than it offered, or at what the chain asks now where that is
        more: an RPC takes a replacement for at least a tenth more. Raises ChainUnavailable, BadSigningKey."""
        account = self._signer()
        fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        fields = {key: value for key, value in fields.items() if key not in ("v", "r", "s", "yParity")}
        with translated(self.url):
            base_fee = int(self.web3.eth.get_block("latest").get("baseFeePerGas", 0))
        tip = max(_TIP_WEI, int(fields["maxPriorityFeePerGas"]) * _REPLACE_PERCENT // 100 + 1)
        most = max(2 * base_fee + tip, int(fields["maxFeePerGas"]) * _REPLACE_PERCENT // 100 + 1)
        signed = account.sign_transaction({**fields, "maxPriorityFeePerGas": tip, "maxFeePerGas": most})
        return PreparedTx(
            "replace", "0x" + bytes(signed.hash).hex(), bytes(signed.raw_transaction), int(fields["nonce"]),
            account.address, int(fields["gas"]), int(fields["gas"]) * most,
        )  # fmt: skip

    def prepare(
        self, action: str, to: str | None, data: str, *, nonce: int | None = None, gas_limit: int | None = None
    ) -> PreparedTx:
        """Checks, prices and signs a call; ``to`` None deploys.

        Without ``gas_limit`` the call is tried on the present state first, and a contract's refusal raised: give a
        limit for a call that only works after others that are not mined yet. Raises Reverted, NotEnoughGasMoney,
        ChainUnavailable, BadSigningKey.
        """
        account = self._signer()
        call: dict[str, Any] = {"from": account.address, "data": data, "value": 0}
        if to is not None:
            call["to"] = to
        with translated(self.url):
            if nonce is None:
                nonce = self.next_nonce()
            if gas_limit is None:
                gas_limit = int(self.web3.eth.estimate_gas(call)) * _GAS_MARGIN_PERCENT // 100  # type: ignore[arg-type]
            base_fee = int(self.web3.eth.get_block("latest").get("baseFeePerGas", 0))
        # Good for at least six full blocks in a row, each of which raises the base fee by an eighth.
        most = 2 * base_fee + _TIP_WEI
        signed = account.sign_transaction(
            {
                **{key: value for key, value in call.items() if key != "from"},
                "chainId": self.chain_id,
                "nonce": nonce,
                "gas": gas_limit,
                "maxPriorityFeePerGas": _TIP_WEI,
                "maxFeePerGas": most,
                "type": 2,
            }
        )
        raw = bytes(signed.raw_transaction)
        return PreparedTx(
            action, "0x" + bytes(signed.hash).hex(), raw, nonce, account.address, gas_limit, gas_limit * most
        )

    def send(self, raw: bytes) -> str:
        """Sends signed bytes and returns their hash; sending what was sent before is no error.

        Raises NonceUsed if another transaction took the nonce, NotEnoughGasMoney, TransactionRefused,
        ChainUnavailable (then send the very same bytes again later).
        """
        tx_hash = "0x" + bytes(Web3.keccak(raw)).hex()
        try:
            with translated(self.url):
                self.web3.eth.send_raw_transaction(raw)
        except NonceUsed:
            if self.receipt(tx_hash) is None:
                raise
        except TransactionRefused as error:
            message = str(error).lower()
            if not any(known in message for known in ("already known", "already imported", "already in mempool")):
                raise
        return tx_hash

    def receipt(self, tx_hash: str) -> TxResult | None:
        """What became of a transaction, or None while it is not mined. Raises ChainUnavailable."""
        with translated(self.url):
            try:
                found = self.web3.eth.get_transaction_receipt(HexStr(tx_hash))
            except TransactionNotFound:
                return None
            succeeded = found["status"] == 1
            return TxResult(
                hash=tx_hash,
                succeeded=succeeded,
                block_number=int(found["blockNumber"]),
                gas_used=int(found["gasUsed"]),
                fee_wei=int(found["gasUsed"]) * int(found["effectiveGasPrice"]),
                error=None if succeeded else self._why(tx_hash, int(found["blockNumber"])),
                logs=tuple(found["logs"]),
            )

    def wait(self, tx_hash: str, timeout: float = 60.0) -> TxResult:
        """Waits until a transaction is mined, failed or not. Raises TransactionPending after ``timeout`` seconds."""
        until = time.monotonic() + timeout
        pause = 0.01
        while (result := self.receipt(tx_hash)) is None:
            if time.monotonic() > until:
                raise TransactionPending(
                    f"transaction {tx_hash} was not mined within {timeout:g} s: send the same bytes again, "
                    "or wait longer"
                )
            time.sleep(pause)
            pause = min(pause * 2, 1.0)
        return result

    def run(self, prepared: PreparedTx, timeout: float = 60.0) -> TxResult:
        """Sends, waits and raises if the contract refused."""
        return self.wait(self.send(prepared.raw), timeout).checked()

    def _signer(self) -> LocalAccount:
        if self.account is None:
            raise BadSigningKey("this connection was made without a private key: it can look, not send")
        return self.account

    def _why(self, tx_hash: str, block: int) -> Reverted:
        """Tries a failed transaction again on the state before its block."""
        sent = self.web3.eth.get_transaction(HexStr(tx_hash))
        call: dict[str, Any] = {"from": sent["from"], "to": sent["to"], "data": HexBytes(sent["input"]), "value": 0}
        try:
            with translated(self.url):
                self.web3.eth.call(call, block - 1)  # type: ignore[arg-type]
        except Reverted as error:
            return error
        except (ChainUnavailable, TransactionRefused):
            pass  # the RPC keeps no state that old
        return decode_revert(b"")
