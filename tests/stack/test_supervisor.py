"""The supervisor with small real processes: order, healing, ending, and who may run on a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.stack import local
from coordinator.stack.layout import Layout
from coordinator.stack.local import find_running, temporary_stack
from coordinator.stack.locks import StackLock, UsersLock
from coordinator.stack.part import Part, PartState
from coordinator.stack.supervisor import Supervisor
from jobs.errors import Refused, Unavailable

_SLEEP = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "data")
    layout.create()
    return layout


@pytest.fixture
def supervise(layout: Layout) -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def make(*parts: Part) -> Supervisor:
        made.append(Supervisor(layout, parts, {"gateway_url": "http://127.0.0.1:1"}))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


def _until(supervisor: Supervisor, condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, {name: part.state for name, part in supervisor.parts.items()}
        supervisor.step()
        time.sleep(0.01)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_part_waits_for_what_it_stands_on(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    """A part is started only when the step before it has ended with success: it finds what that step made."""
    made = tmp_path / "made"
    step = Part("step", ["sh", "-c", f"sleep 0.3; touch {made}"], once=True)
    user = Part("user", ["sh", "-c", f"test -f {made} && exec sleep 60"], after=("step",))
    supervisor = supervise(step, user)
    _until(supervisor, lambda: supervisor.ready)
    assert supervisor.parts["user"].restarts == 0


def test_a_killed_part_comes_back(supervise: Callable[..., Supervisor]) -> None:
    """kill -9 of a part is healed with a new process, and counted."""
    supervisor = supervise(Part("one", _SLEEP), Part("two", _SLEEP))
    _until(supervisor, lambda: supervisor.ready)
    victim, other = supervisor.parts["one"].pid, supervisor.parts["two"].pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    _until(supervisor, lambda: supervisor.parts["one"].restarts == 1 and supervisor.ready)
    assert supervisor.parts["one"].pid not in (None, victim)
    assert supervisor.parts["two"].pid == other


def test_a_part_that_cannot_come_up_is_named_with_its_last_line(supervise: Callable[..., Supervisor]) -> None:
    """A start that cannot succeed ends, and the message has what the part itself said."""
    supervisor = supervise(Part("broken", ["sh", "-c", "echo no disk >&2; exit 3"]), Part("fine", _SLEEP))
    with pytest.raises(Unavailable, match=r"broken .*status 3.*no disk"):
        _until(supervisor, lambda: False, seconds=30)


def test_parts_end_in_their_order(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    """What works on jobs has ended before what it talks to is asked to."""
    ended = tmp_path / "ended"
    script = "trap 'sleep 0.3; echo {} >>" + str(ended) + "; exit 0' TERM; while :; do sleep 0.05; done"
    parts = [
        Part(name, ["sh", "-c", script.format(name)], stop_rank=rank)
        for name, rank in (("gateway", 2), ("node", 0), ("tasks", 1))
    ]
    supervisor = supervise(*parts)
    _until(supervisor, lambda: supervisor.ready)
    time.sleep(0.3)  # the shells need a moment to set their traps
    supervisor.stop()
    assert ended.read_text().split() == ["node", "tasks", "gateway"]


def test_what_ignores_the_request_to_end_is_killed(supervise: Callable[..., Supervisor]) -> None:
    """Stopping takes seconds at most, children of a part included."""
    script = "trap '' TERM; sleep 60 & wait; sleep 60"
    supervisor = supervise(Part("deaf", ["sh", "-c", script], stop_seconds=0.5))
    _until(supervisor, lambda: supervisor.ready)
    time.sleep(0.3)
    pid = supervisor.parts["deaf"].pid
    assert pid is not None
    started = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - started < 5
    assert not _running(pid)


def test_parts_die_with_a_killed_supervisor(layout: Layout) -> None:
    """kill -9 of the supervisor leaves no part behind, and its folder free for the next one."""
    program = f"""
import time
from pathlib import Path
from coordinator.stack.layout import Layout
from coordinator.stack.locks import StackLock
from coordinator.stack.part import Part
from coordinator.stack.supervisor import Supervisor
layout = Layout(Path({str(layout.data)!r}))
lock = StackLock(layout.lock)
lock.take()
supervisor = Supervisor(layout, [Part("part", {_SLEEP!r})], {{"gateway_url": "http://127.0.0.1:1"}})
while not supervisor.ready:
    supervisor.step()
print(supervisor.parts["part"].pid, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        pid = int(process.stdout.readline())
        assert _running(pid)
        assert StackLock.is_held(layout.lock)
        process.kill()
        process.wait()
    end = time.monotonic() + 5
    while _running(pid):
        assert time.monotonic() < end, "the part outlived its supervisor"
        time.sleep(0.01)
    assert layout.status.exists()
    assert find_running(layout.data) is None, "a status file without a lock is of one that died"
    lock = StackLock(layout.lock)
    lock.take()
    lock.release()


def test_one_supervisor_per_folder(layout: Layout) -> None:
    """A second one is turned away with the first one's process id, and may come when that has gone."""
    first, second = StackLock(layout.lock), StackLock(layout.lock)
    first.take()
    with pytest.raises(Refused, match=f"process {os.getpid()}"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_a_stack_in_use_is_not_closed(layout: Layout) -> None:
    """A temporary stack may end only when nobody uses it; from then on nobody can begin to."""
    first, second, supervisor = (UsersLock(layout.users) for _ in range(3))
    assert first.join()
    assert second.join()
    first.leave()
    assert not supervisor.close()
    second.leave()
    assert supervisor.close()
    assert not first.join()
    supervisor.leave()


def test_a_large_log_is_cut_and_nothing_written_later_is_lost(supervise: Callable[..., Supervisor]) -> None:
    """Rotation moves what is there aside, under a process that goes on writing."""
    noise = "import sys,time\nprint('x' * (9 << 20), flush=True)\nwhile 1: time.sleep(0.2); print('later', flush=True)"
    supervisor = supervise(Part("loud", [sys.executable, "-I", "-c", noise]))
    running = supervisor.parts["loud"]
    _until(supervisor, lambda: running.log.exists() and running.log.stat().st_size > (9 << 20))
    running.rotate_log()
    assert running.log.with_suffix(".log.1").stat().st_size > (9 << 20)
    _until(supervisor, lambda: "later" in running.log.read_text())
    assert running.log.stat().st_size < 1000


def test_the_brokers_socket_has_a_short_path_in_a_folder_of_any_depth(tmp_path: Path) -> None:
    """The kernel takes 107 bytes; a deep data folder gets its socket elsewhere, closed to others all the same."""
    deep = Layout(tmp_path / ("d" * 80) / ("e" * 80))
    deep.create()
    assert len(os.fsencode(deep.broker_socket)) <= 100
    assert deep.broker_socket.parent.stat().st_mode & 0o077 == 0
    deep.broker_socket.parent.rmdir()


def test_states_are_published(supervise: Callable[..., Supervisor], layout: Layout) -> None:
    """The status file says what runs; it is gone when the stack has ended."""
    supervisor = supervise(Part("one", _SLEEP))
    _until(supervisor, lambda: supervisor.ready)
    supervisor.step()
    from coordinator.stack.local import LocalStack

    status = LocalStack("http://127.0.0.1:1", layout.client_key, layout.data).status()
    assert status["state"] == "ready"
    assert status["parts"]["one"] == {
        "state": PartState.READY.value,
        "pid": supervisor.parts["one"].pid,
        "restarts": 0,
    }
    supervisor.stop()
    assert not layout.status.exists()


# The supervisor that is left to the other user is nobody's to wait for in this process.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_temporary_stack_has_ended_when_its_block_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a stack runs on after the block: its folder may be removed. One that another uses is left running,
    and ends with that other."""
    program = """
import sys
from pathlib import Path
from coordinator.stack import serve
from coordinator.stack.part import Part
from coordinator.stack.plan import Plan

def plan_stack(layout, options):
    class Settings:
        class chain:
            rpc_url = ""
    return Plan(Settings(), (Part("part", ["sleep", "60"]),), 1, 1)

serve.plan_stack = plan_stack
sys.exit(serve.main(sys.argv[1:]))
"""
    real = subprocess.Popen

    def popen(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        # A stack of one part: what is proven here is the supervisor's, not the parts'.
        return real([sys.executable, "-c", program, *command[3:]], **options)

    monkeypatch.setattr("coordinator.stack.local.subprocess.Popen", popen)
    with temporary_stack(data=tmp_path / "data") as stack:
        first = int(stack.status()["pid"])
        assert find_running(stack.data) == stack
        local._used.pop().leave()
    assert not _running(first)
    with temporary_stack(data=tmp_path / "data") as stack:
        second = int(stack.status()["pid"])
        other = UsersLock(Layout(stack.data).users)
        assert other.join()
    assert _running(second)
    other.leave()
    os.waitpid(second, 0)
