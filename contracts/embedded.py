"""The chain of a local stack: anvil with its state in one file, for machines that have no other chain.

kill -9 of anvil, its keeper or both loses at most the last second of transactions (usually half of one). Whoever sent
them keeps their bytes and sends the very same again: see ``contracts.client``. ``save()`` closes that gap on demand.

Anybody who can open a connection to the loopback address of this machine can move this chain's coins: it is for
development and demonstration, and holds no value.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from contracts.chain_keeper import call_rpc, save_state
from contracts.errors import ChainUnavailable, WrongChain
from contracts.keys import LocalKeys
from contracts.toolchain import find_anvil

__all__ = ["LOCAL_CHAIN_ID", "EmbeddedChain"]

LOCAL_CHAIN_ID = 31337


class EmbeddedChain:
    """One local chain.

    Args:
        state_file: where the chain is kept; made on first start. Its folder also gets the keys and a lock.
        port: TCP port on 127.0.0.1; 0 draws a free one now, so that ``url`` is known before the start.
        chain_id: the EIP-155 chain id.
        key_file: where the phrase of the keys is kept (mode 0600); by default beside the state.
        interval: seconds between looks for new blocks to save.
    """

    def __init__(
        self,
        state_file: Path,
        port: int = 0,
        *,
        chain_id: int = LOCAL_CHAIN_ID,
        key_file: Path | None = None,
        interval: float = 0.5,
    ) -> None:
        self.state_file = state_file.absolute()
        self.key_file = key_file or self.state_file.with_name("chain-keys.txt")
        self.port = port or _free_port()
        self.chain_id = chain_id
        self.interval = interval
        self._keys: LocalKeys | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The RPC's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self) -> LocalKeys:
        """The keys of this chain; drawn and kept on first use. Raises BadSigningKey if their file is damaged."""
        if self._keys is None:
            self._keys = LocalKeys.load(self.key_file)
        return self._keys

    @property
    def pid(self) -> int | None:
        """Process id of the keeper that ``start`` started, or None."""
        return None if self._process is None else self._process.pid

    def command(self, *, with_parent: bool = False) -> list[str]:
        """What a supervisor runs. It ends on SIGTERM, after saving, with status 0; with 1 if anvil ended by itself.

        Args:
            with_parent: also end when the process that started it does.
        Raises: ToolMissing if there is no anvil, BadSigningKey if the keys' file is damaged.
        """
        keeper = Path(__file__).with_name("chain_keeper.py")
        # -P: the keeper stands on the standard library alone, from whatever folder it is started.
        command = [sys.executable, "-P", str(keeper), "--anvil", str(find_anvil())]
        command += ["--state", str(self.state_file), "--port", str(self.port), "--chain-id", str(self.chain_id)]
        command += ["--interval", str(self.interval)]
        for address in self.keys.funded():
            command += ["--fund", address]
        return [*command, "--with-parent"] if with_parent else command

    def start(self, timeout: float = 20.0) -> None:
        """Starts the chain as a child of this process, which it does not outlive, and waits until it answers.

        Raises ChainUnavailable (see ``wait_ready``), ToolMissing, BadSigningKey.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self._process = subprocess.Popen(
            self.command(with_parent=True),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the terminal is for us: the chain goes last
        )
        try:
            self.wait_ready(timeout)
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, timeout: float = 20.0) -> None:
        """Returns once the chain answers and its accounts have coins for gas.

        Raises ChainUnavailable after ``timeout`` seconds or when the process started by ``start`` has ended, WrongChain
        if another chain has the port.
        """
        until = time.monotonic() + timeout
        needed: Sequence[str] = self.keys.funded()
        while True:
            try:
                actual = int(call_rpc(self.url, "eth_chainId", timeout=2.0), 16)
                if actual != self.chain_id:
                    raise WrongChain(self.url, self.chain_id, actual)
                if all(int(call_rpc(self.url, "eth_getBalance", one, "latest"), 16) for one in needed):
                    return
            except (OSError, ValueError):
                pass
            if self._process is not None and (status := self._process.poll()) is not None:
                raise ChainUnavailable(
                    f"the local chain ended at once (status {status}): is port {self.port} taken, or {self.state_file} "
                    "in use by another kilnet? If the file is damaged, move it away to begin a new chain"
                )
            if time.monotonic() > until:
                raise ChainUnavailable(
                    f"the local chain at {self.url} did not answer within {timeout:g} s: start it again, or set "
                    "another port"
                )
            time.sleep(0.02)

    def save(self) -> None:
        """Writes the state now: what was mined before this call survives any crash. Raises ChainUnavailable."""
        try:
            save_state(self.url, self.state_file)
        except (OSError, ValueError) as error:
            raise ChainUnavailable(
                f"the local chain's state could not be saved to {self.state_file}: {error}"
            ) from error

    def stop(self, timeout: float = 15.0) -> None:
        """Saves and ends the chain that ``start`` started; nothing happens if there is none."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> "EmbeddedChain":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
