"""What can go wrong with the chain, typed by what the caller can do about it.

::

    ChainError
    |-- ToolMissing          a program that is needed is not installed
    |-- ChainUnavailable     nothing answers, or it stopped answering: try again later
    |-- WrongChain           something answers, but it is another chain
    |-- NotDeployed          no contract of ours at that address
    |-- BadSigningKey        a private key that is none
    |-- NonceUsed            another transaction took the nonce: prepare a new one
    |-- NotEnoughGasMoney    the sender cannot pay the gas
    |-- TransactionPending   not mined in the time given; it may still be
    |-- TransactionRefused   the node refused it for another reason
    `-- Reverted             a contract refused it, and said why

The message of each is one line that says what was wrong and what to do.
"""

from typing import Any

__all__ = [
    "BadSigningKey",
    "ChainError",
    "ChainUnavailable",
    "NonceUsed",
    "NotDeployed",
    "NotEnoughGasMoney",
    "Reverted",
    "ToolMissing",
    "TransactionPending",
    "TransactionRefused",
    "WrongChain",
]


class ChainError(Exception):
    """Base of everything that this package raises on purpose."""


class ToolMissing(ChainError):
    """A program that is needed (anvil, forge, Node.js) is not installed."""


class ChainUnavailable(ChainError):
    """No RPC answers at the address, or it stopped answering; nothing is known about what was sent last."""


class WrongChain(ChainError):
    """The RPC serves another chain than the addresses belong to."""

    def __init__(self, url: str, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"{url} serves chain {actual}, but these contracts live on chain {expected}: "
            "point the RPC setting at the right chain, or deploy there first"
        )


class NotDeployed(ChainError):
    """There is no contract at an address that should have one."""


class BadSigningKey(ChainError):
    """A private key is missing or is not 32 bytes."""


class NonceUsed(ChainError):
    """Another transaction of this sender has the nonce and was mined: look at the state, then prepare anew."""


class NotEnoughGasMoney(ChainError):
    """The sender's balance of the chain's own coin does not cover gas."""


class TransactionPending(ChainError):
    """Not mined in the time given. The transaction may still be: keep its bytes, and send the very same again."""


class TransactionRefused(ChainError):
    """The RPC refused the transaction for a reason that is none of the above."""


class Reverted(ChainError):
    """A contract refused the call.

    Attributes:
        name: the contract's custom error, such as ``WrongState``; ``Error`` or ``Panic`` for Solidity's own; empty
            if the chain gave no reason.
        arguments: the error's arguments by name; amounts in the smallest unit of KILN, times in unix seconds.
    """

    def __init__(self, name: str, arguments: dict[str, Any], sentence: str) -> None:
        self.name = name
        self.arguments = arguments
        super().__init__(f"{sentence} [{name}]" if name else sentence)
