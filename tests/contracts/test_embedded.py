"""The local chain outlives kill -9, keeps its keys to itself and says what is wrong."""

import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient, JobState
from contracts.deploy import KILN
from contracts.embedded import EmbeddedChain
from contracts.errors import BadSigningKey, ChainUnavailable, ToolMissing, WrongChain
from contracts.keys import LocalKeys

from .conftest import make_stack

pytestmark = pytest.mark.chain


def anvil_pid(chain: EmbeddedChain) -> int:
    children = Path(f"/proc/{chain.pid}/task/{chain.pid}/children").read_text().split()
    return int(children[0])


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split(") ")[1].startswith("Z")


def saved_at(chain: EmbeddedChain) -> int:
    """When its state was saved last; 0 before that."""
    return chain.state_file.stat().st_mtime_ns if chain.state_file.exists() else 0


def wait_saved(chain: EmbeddedChain) -> None:
    """Until a save that began after now has ended: the second one, each after a block of its own."""
    for _ in range(2):
        before, until = saved_at(chain), time.monotonic() + 30
        call_rpc(chain.url, "evm_mine")
        while saved_at(chain) == before and time.monotonic() < until:
            time.sleep(0.05)


@pytest.mark.parametrize("victim", ["anvil", "keeper"])
def test_everything_is_there_after_kill_9(victim: str, new_chain: Callable[[], EmbeddedChain], tmp_path: Path) -> None:
    """Contracts, balances and an open escrow; and a second deployment reuses the first."""
    # given a chain with an open escrow that was saved
    chain = new_chain()
    chain.start()
    stack = make_stack(chain, tmp_path)
    job, client = stack.opened()
    prepared = stack.coordinator.prepare_propose(job, 10 * KILN, b"r" * 32, 1)
    wait_saved(chain)
    # when one of its processes is killed
    anvil = anvil_pid(chain)
    os.kill(anvil if victim == "anvil" else chain.pid or 0, signal.SIGKILL)
    until = time.monotonic() + 5
    while not gone(anvil) and time.monotonic() < until:
        time.sleep(0.02)
    assert gone(anvil)
    # then a chain over the same file goes on where it was
    again = new_chain()
    again.start()
    revived = make_stack(again, tmp_path)
    assert revived.addresses == stack.addresses
    assert again.keys.deployer.address == chain.keys.deployer.address
    assert revived.coordinator.escrow(job).state is JobState.OPEN
    assert revived.coordinator.balance_of(stack.addresses.escrow) == 100 * KILN
    assert revived.coordinator.balance_of(client.address) == 0
    # and takes the very bytes that were prepared before
    revived.coordinator.wait(revived.coordinator.send(prepared.raw)).checked()
    assert revived.coordinator.escrow(job).state is JobState.PROPOSED


def test_what_was_sent_in_the_last_instant_is_sent_again(
    new_chain: Callable[[], EmbeddedChain], tmp_path: Path
) -> None:
    """The state is behind by up to a second: the same bytes bring it to the same place, whether lost or not."""
    chain = new_chain()
    chain.start()
    stack = make_stack(chain, tmp_path)
    job, _ = stack.opened()
    chain.save()
    prepared = stack.coordinator.prepare_cancel(job)
    stack.coordinator.wait(stack.coordinator.send(prepared.raw)).checked()
    os.kill(chain.pid or 0, signal.SIGKILL)
    again = new_chain()
    again.start()
    revived = make_stack(again, tmp_path)
    assert revived.coordinator.wait(revived.coordinator.send(prepared.raw)).checked().hash == prepared.hash
    assert revived.coordinator.escrow(job).state is JobState.REFUNDED


def test_a_kill_while_it_saves_leaves_a_whole_file(new_chain: Callable[[], EmbeddedChain], tmp_path: Path) -> None:
    """Killed again and again under load, it starts every time."""
    for round_ in range(6):
        chain = new_chain()
        chain.interval = 0.001
        chain.start()
        if not round_:
            wait_saved(chain)
        call_rpc(chain.url, "anvil_mine", hex(40))
        time.sleep(0.05 + 0.013 * round_)
        os.kill(chain.pid or 0, signal.SIGKILL)
    chain = new_chain()
    chain.start()
    assert int(call_rpc(chain.url, "eth_blockNumber"), 16) > 0
    chain.stop()
    assert [path.name for path in tmp_path.glob(".chain.json.*")] == []


def test_stop_keeps_everything(new_chain: Callable[[], EmbeddedChain], tmp_path: Path) -> None:
    """SIGTERM saves first: even a block of the same instant is there."""
    chain = new_chain()
    chain.start()
    call_rpc(chain.url, "anvil_mine", hex(7))
    chain.stop()
    again = new_chain()
    with again:
        assert int(call_rpc(again.url, "eth_blockNumber"), 16) == 7


def test_keys_are_secret_and_their_own(new_chain: Callable[[], EmbeddedChain], tmp_path: Path) -> None:
    """Mode 0600, drawn anew for each folder, never on a command line; the chain itself holds no account."""
    chain = new_chain()
    chain.start()
    assert stat.S_IMODE(chain.key_file.stat().st_mode) == 0o600
    assert LocalKeys.load(tmp_path / "other.txt").phrase != chain.keys.phrase
    lines = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    assert chain.keys.phrase not in lines
    assert chain.keys.deployer.key.hex() not in lines
    assert call_rpc(chain.url, "eth_accounts") == []


def test_a_damaged_phrase_is_not_repeated(tmp_path: Path) -> None:
    """The error names the file, not what is in it."""
    file = tmp_path / "keys.txt"
    file.write_text("correct horse battery staple\n")
    with pytest.raises(BadSigningKey) as caught:
        LocalKeys.load(file)
    assert str(file) in str(caught.value)
    assert "horse" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_two_chains_cannot_share_a_file(new_chain: Callable[[], EmbeddedChain]) -> None:
    """The second is refused, and the first goes on."""
    chain = new_chain()
    chain.start()
    with pytest.raises(ChainUnavailable, match="in use by another kilnet"):
        new_chain().start()
    assert call_rpc(chain.url, "eth_chainId") == hex(31337)


def test_a_damaged_state_is_refused_and_kept(new_chain: Callable[[], EmbeddedChain], tmp_path: Path) -> None:
    """Nothing is overwritten where it cannot be read."""
    (tmp_path / "chain.json").write_text('{"block":{"numb')
    with pytest.raises(ChainUnavailable, match="move it away"):
        new_chain().start()
    assert (tmp_path / "chain.json").read_text() == '{"block":{"numb'


def test_only_loopback_is_served(new_chain: Callable[[], EmbeddedChain]) -> None:
    """Nobody else on the network reaches it."""
    chain = new_chain()
    chain.start()
    listening = Path("/proc/net/tcp").read_text()
    rows = [row.split()[1] for row in listening.splitlines()[1:] if row.split()[3] == "0A"]
    assert [row for row in rows if row.endswith(f":{chain.port:04X}")] == [f"0100007F:{chain.port:04X}"]


def test_a_port_of_another_chain(new_chain: Callable[[], EmbeddedChain], tmp_path: Path) -> None:
    """Another chain id on the port is told from ours."""
    chain = new_chain()
    chain.start()
    other = EmbeddedChain(tmp_path / "other" / "chain.json", chain.port, chain_id=4242)
    with pytest.raises(WrongChain, match="serves chain 31337"):
        other.wait_ready(1)


def test_nothing_answers(tmp_path: Path) -> None:
    """One line that says what to do."""
    with socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))
        chain = EmbeddedChain(tmp_path / "chain.json", idle.getsockname()[1])
        with pytest.raises(ChainUnavailable, match=r"did not answer within 0\.1 s"):
            chain.wait_ready(0.1)


def test_no_anvil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says how to get it."""
    monkeypatch.setenv("KILNET_TOOLS", str(tmp_path))
    monkeypatch.delenv("KILNET_ANVIL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"python -m contracts\.toolchain"):
        EmbeddedChain(tmp_path / "chain.json").command()


def test_a_supervisor_can_run_it(new_chain: Callable[[], EmbeddedChain]) -> None:
    """``command`` stands alone: it starts, answers, and ends with 0 on SIGTERM."""
    chain = new_chain()
    process = subprocess.Popen(chain.command(), cwd="/")
    try:
        chain.wait_ready()
        client = ChainClient(chain.url, make_stack(chain, chain.state_file.parent).addresses)
        client.check()
    finally:
        process.terminate()
    assert process.wait(10) == 0
