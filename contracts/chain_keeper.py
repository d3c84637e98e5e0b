"""``python -m contracts.chain_keeper``: runs anvil and keeps its state in a file that is whole at any moment.

anvil can write its state by itself, but it truncates the file first: killed while it writes, it leaves a file that it
refuses to start from. So this process asks for the state whenever a block was mined, writes it aside and renames it.
What a kill -9 can lose is what was mined since the last rename: ``--interval`` seconds plus the time one copy takes.

The keeper lives as long as its anvil and the other way round. It imports nothing but the standard library.
"""

import argparse
import ctypes
import fcntl
import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["call_rpc", "main", "save_state"]

FUND_WEI = 10**24
_PR_SET_PDEATHSIG = 1
_LOCK_PATIENCE = 3.0


def call_rpc(url: str, method: str, *params: Any, timeout: float = 30.0) -> Any:
    """One JSON-RPC call; returns ``result``. Raises OSError if nothing answers, ValueError on an error answer."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    where = urllib.parse.urlsplit(url)
    # Plain http to this very machine: no proxy of the environment stands between, and no TLS context is set up, which
    # would take longer than all the rest of a look for new blocks.
    link = http.client.HTTPConnection(str(where.hostname), where.port, timeout=timeout)
    try:
        link.request("POST", where.path or "/", body, {"content-type": "application/json"})
        answer = link.getresponse()
        text = answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"the answer to {method} broke off: {error}") from error
    finally:
        link.close()
    if answer.status != http.client.OK:
        raise ConnectionError(f"{method}: HTTP status {answer.status}")
    reply = json.loads(text)
    if "error" in reply:
        raise ValueError(f"{method}: {reply['error'].get('message', reply['error'])}")
    return reply["result"]


def save_state(url: str, path: Path) -> None:
    """Writes the state of the anvil at ``url`` to ``path`` atomically and durably. Raises OSError, ValueError."""
    state = gzip.decompress(bytes.fromhex(call_rpc(url, "anvil_dumpState")[2:]))
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(state)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


class _Stopped(Exception):
    """Somebody asked the keeper to end."""


class _Keeper:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.state: Path = arguments.state
        self.interval: float = arguments.interval
        self.fund: list[str] = arguments.fund
        self.url = f"http://127.0.0.1:{arguments.port}"
        self.parent = os.getppid() if arguments.with_parent else None
        self.command = [arguments.anvil, "--host", "127.0.0.1", "--port", str(arguments.port), "--silent"]
        # No accounts: keys never stand on a command line, and nobody can send in another's name without impersonation.
        self.command += ["--accounts", "0", "--chain-id", str(arguments.chain_id)]
        if self.state.is_file():
            self.command += ["--load-state", str(self.state)]

    def run(self) -> int:
        for left in self.state.parent.glob(f".{self.state.name}.*"):
            left.unlink()
        child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, preexec_fn=_end_with(os.getpid()))
        try:
            return self._watch(child)
        except _Stopped:
            return 0
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _watch(self, child: "subprocess.Popen[bytes]") -> int:
        saved: str | None = None
        pause = 0.02
        try:
            while child.poll() is None:
                if self.parent is not None and os.getppid() != self.parent:
                    raise _Stopped
                try:
                    if saved is None:
                        self._fund()
                    block = str(call_rpc(self.url, "eth_blockNumber"))
                    if block != saved:
                        started = time.monotonic()
                        save_state(self.url, self.state)
                        saved = block
                        # A long chain takes longer to copy: never spend more than a fifth of the time on it.
                        pause = max(self.interval, 4 * (time.monotonic() - started))
                except ConnectionError:
                    pass  # not up yet, or just gone: poll() tells
                except (OSError, ValueError) as error:
                    print(f"chain: the state could not be saved to {self.state}: {error}", file=sys.stderr, flush=True)
                    pause = max(self.interval, 1.0)
                time.sleep(pause)
        except _Stopped:
            try:
                save_state(self.url, self.state)
            except (OSError, ValueError) as error:
                print(f"chain: the last state could not be saved to {self.state}: {error}", file=sys.stderr, flush=True)
            raise
        print(f"chain: anvil ended with status {child.returncode}", file=sys.stderr, flush=True)
        return child.returncode if child.returncode > 0 else 1

    def _fund(self) -> None:
        for address in self.fund:
            if int(call_rpc(self.url, "eth_getBalance", address, "latest"), 16) < FUND_WEI // 2:
                call_rpc(self.url, "anvil_setBalance", address, hex(FUND_WEI))


def _end_with(parent: int) -> Any:
    """Makes a child that the kernel ends when ``parent`` does, even by kill -9 (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _stop(_signal: int, _frame: FrameType | None) -> None:
    # A second signal must not break the last save.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise _Stopped


def _locked(lock: int) -> bool:
    """Takes the lock. A keeper that was told to end, or whose anvil was killed, may need a moment to let go of it."""
    until = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        else:
            return True


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit status: 0 after a signal, 1 if anvil ended by itself or the state is in use."""
    parser = argparse.ArgumentParser(prog="python -m contracts.chain_keeper", description=__doc__)
    parser.add_argument("--anvil", required=True, help="path of the anvil program")
    parser.add_argument("--state", required=True, type=Path, help="file that holds the chain")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--chain-id", type=int, default=31337)
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between looks for new blocks")
    parser.add_argument("--fund", action="append", default=[], help="address that gets coins for gas; repeatable")
    parser.add_argument("--with-parent", action="store_true", help="end when the process that started this one ends")
    arguments = parser.parse_args(argv)
    arguments.state.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(arguments.state.with_name(arguments.state.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    if not _locked(lock):
        print(f"chain: {arguments.state} is in use by another chain: stop that one first", file=sys.stderr)
        return 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        return _Keeper(arguments).run()
    except _Stopped:
        return 0


if __name__ == "__main__":
    sys.exit(main())
