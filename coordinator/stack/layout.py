"""Where a local stack keeps its things: one data folder, readable by its owner alone."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import BadInput

__all__ = ["DATA_VARIABLE", "DEVICE_VARIABLE", "Layout", "default_data"]

DATA_VARIABLE = "KILNET_DATA"
DEVICE_VARIABLE = "KILNET_DEVICE"
"""What the workers of a local stack work on, where nothing else is said."""
_SOCKET_PATH_LIMIT = 100
"""Bytes; the kernel takes 107."""


def default_data() -> Path:
    """$KILNET_DATA, else kilnet's folder among the user's data: what was started there goes on after a restart."""
    if chosen := os.environ.get(DATA_VARIABLE):
        return Path(chosen)
    shared = os.environ.get("XDG_DATA_HOME")
    return (Path(shared) if shared else Path.home() / ".local" / "share") / "kilnet"


@dataclass(frozen=True)
class Layout:
    """The paths below one data folder."""

    data: Path

    @classmethod
    def at(cls, data: Path | None) -> Layout:
        """The layout of `data` (None: `default_data()`), as an absolute path; nothing is made yet."""
        return cls((data or default_data()).expanduser().absolute())

    def create(self) -> None:
        """Makes the folders, closed to other accounts. Raises BadInput where that cannot be."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (
                self.keys,
                self.logs,
                self.chain,
                self.broker,
                self.blobs,
                self.beat,
                self.broker_socket.parent,
            ):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"{self.data}: cannot be made ({error.strerror}); choose another folder with --data"
            ) from error

    def node(self, name: str) -> Path:
        """Data folder of one worker."""
        return self.data / "nodes" / name

    @property
    def lock(self) -> Path:
        """Held (flock) by the one supervisor of this folder; the kernel lets go of it when that dies."""
        return self.data / "lock"

    @property
    def users(self) -> Path:
        """Held (shared flock) by every program that uses a temporary stack: it stays as long as one of them does."""
        return self.data / "users"

    @property
    def status(self) -> Path:
        """What runs, and where: written by the supervisor, read by everybody else."""
        return self.data / "stack.json"

    @property
    def settings(self) -> Path:
        """coordinator.config.Settings of this stack."""
        return self.data / "settings.json"

    @property
    def canary(self) -> Path:
        """What the canary found out about this machine: measured once, whatever stack asks. Each worker reads it and
        trusts it as it trusts its own disk."""
        shared = os.environ.get("XDG_CACHE_HOME")
        return (Path(shared) if shared else Path.home() / ".cache") / "kilnet" / "canary"

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def client_key(self) -> Path:
        """The wallet of whoever uses this machine."""
        return self.keys / "client"

    @property
    def coordinator_key(self) -> Path:
        return self.keys / "coordinator"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def chain(self) -> Path:
        return self.data / "chain"

    @property
    def chain_state(self) -> Path:
        return self.chain / "state.json"

    @property
    def chain_keys(self) -> Path:
        """The phrase that all keys of the local chain are derived from."""
        return self.keys / "chain-phrase"

    @property
    def addresses(self) -> Path:
        """contracts.addresses.Addresses of what is deployed on the local chain."""
        return self.chain / "addresses.json"

    @property
    def broker(self) -> Path:
        return self.data / "broker"

    @property
    def broker_socket(self) -> Path:
        """The broker's Unix socket, in a folder that only its owner may enter."""
        near = self.broker / "socket"
        if len(os.fsencode(near)) <= _SOCKET_PATH_LIMIT:
            return near
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"kilnet-{os.getuid()}-{name}" / "socket"

    @property
    def database(self) -> Path:
        return self.data / "kilnet.sqlite"

    @property
    def blobs(self) -> Path:
        return self.data / "blobs"

    @property
    def beat(self) -> Path:
        return self.data / "beat"
