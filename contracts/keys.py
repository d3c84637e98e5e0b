"""Keys of a local chain, derived from one phrase that is drawn once per data folder and kept readable to its owner
alone. For public chains bring keys of your own."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.exceptions import ValidationError

from contracts.errors import BadSigningKey

__all__ = ["LocalKeys", "account_from_key"]

_PATH = "m/44'/60'/0'/0/{}"


@dataclass(frozen=True)
class LocalKeys:
    """Who is who on a local chain."""

    deployer: LocalAccount
    """Deploys, and is the admin and pauser."""
    coordinator: LocalAccount
    """Opens, proposes, cancels, posts roots."""
    signer: LocalAccount
    """Signs receipts; sends nothing."""
    treasury: LocalAccount
    """Receives fees; sends nothing."""
    faucet: LocalAccount
    """Holds the genesis supply and hands it out."""
    guardian: LocalAccount
    """May veto reward roots."""
    auditor: LocalAccount
    """The one auditor of a local chain; sends nothing."""
    phrase: str

    @classmethod
    def load(cls, path: Path) -> "LocalKeys":
        """Reads the phrase at ``path``, or draws one and keeps it there with mode 0600.

        Raises BadSigningKey if the file is there and does not hold a phrase.
        """
        phrase = _phrase(path)
        Account.enable_unaudited_hdwallet_features()
        try:
            derived = [Account.from_mnemonic(phrase, account_path=_PATH.format(index)) for index in range(7)]
        except (ValueError, ValidationError):
            # The text must not reach a log: it may be a phrase with one wrong word. Hence no chained exception.
            raise BadSigningKey(
                f"{path} does not hold a valid phrase: restore it, or remove it and the chain"
            ) from None
        deployer, coordinator, signer, treasury, faucet, guardian, auditor = derived
        return cls(deployer, coordinator, signer, treasury, faucet, guardian, auditor, phrase)

    def account(self, index: int) -> LocalAccount:
        """A further account of the same phrase, for clients and nodes of a demonstration; ``index`` from 0."""
        account: LocalAccount = Account.from_mnemonic(self.phrase, account_path=_PATH.format(100 + index))
        return account

    def funded(self) -> tuple[str, ...]:
        """The addresses that send transactions and so need the chain's own coin for gas."""
        return (self.deployer.address, self.coordinator.address, self.faucet.address, self.guardian.address)


def account_from_key(private_key: str | bytes) -> LocalAccount:
    """An account from 32 bytes or their hex. Raises BadSigningKey, whose message never has the key."""
    try:
        account: LocalAccount = Account.from_key(private_key)
    except Exception:
        raise BadSigningKey("that is not a private key: it takes 32 bytes, as 64 hex digits") from None
    return account


def _phrase(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    Account.enable_unaudited_hdwallet_features()
    phrase: str = Account.create_with_mnemonic(num_words=24)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and linked, so that of two processes that start at once one wins and both read the same phrase,
    # and a crash never leaves half of one. mkstemp gives mode 0600.
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(phrase + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return path.read_text().strip()
    finally:
        Path(aside).unlink()
    return phrase
