"""The host outlives everything that a runner can do, and says what it was."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from node.runner_process import (
    RunnerCancelled,
    RunnerCrashed,
    RunnerDeadlineExceeded,
    RunnerError,
    RunnerHung,
    RunnerLimitExceeded,
    RunnerOutOfMemory,
    RunnerProcess,
    RunnerProtocolError,
    read_result,
)
from node.sandbox import MIB, Limits, SandboxRefused, SandboxSpec, Unsandboxed
from tests.sandbox.conftest import SMALL, MakeRunner


def test_a_request_is_answered_with_progress_and_usage(make_runner: MakeRunner) -> None:
    runner = make_runner()
    seen: list[float] = []
    result = runner.request("echo", {"path": "/scratch/a"}, on_progress=seen.append)
    assert result == {"id": 1, "op": "echo", "path": "/scratch/a"}
    assert seen == [0, 1 / 3, 2 / 3]
    assert runner.ready["protocol"] == 1
    assert runner.last_usage is not None
    assert runner.last_usage.wall_seconds < 5
    assert 1 * MIB < runner.last_usage.peak_memory_bytes < 100 * MIB


def test_cpu_time_is_measured_from_outside(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.request("spin", {"seconds": 0.6})
    assert runner.last_usage is not None
    assert 0.2 < runner.last_usage.cpu_seconds < 2


def test_an_answered_error_leaves_the_runner_working(make_runner: MakeRunner) -> None:
    runner = make_runner()
    with pytest.raises(RunnerError) as caught:
        runner.request("fail")
    assert (caught.value.code, caught.value.message, caught.value.scene_fault) == (
        "scene.missing",
        "no such scene",
        True,
    )
    with pytest.raises(RunnerOutOfMemory) as reported:
        runner.request("memory_error")
    assert not reported.value.killed
    assert runner.request("echo")["op"] == "echo"


@pytest.mark.parametrize(("op", "number"), [("segfault", signal.SIGSEGV), ("abort", signal.SIGABRT)])
def test_a_crash_names_its_signal_and_keeps_stderr(make_runner: MakeRunner, op: str, number: int) -> None:
    runner = make_runner()
    with pytest.raises(RunnerCrashed) as caught:
        runner.request(op)
    assert caught.value.signal == number
    assert not runner.alive
    if op == "segfault":
        assert caught.value.stderr_tail[0] == "about to fall"
        assert "\x1b" not in caught.value.stderr_tail[1]


def test_an_exit_is_a_crash_with_a_return_code(make_runner: MakeRunner) -> None:
    with pytest.raises(RunnerCrashed) as caught:
        make_runner().request("exit")
    assert (caught.value.returncode, caught.value.signal) == (7, None)


def test_dying_before_ready_and_never_getting_ready(make_runner: MakeRunner) -> None:
    with pytest.raises(RunnerCrashed, match="no such device"):
        make_runner("--die", start=False).start()
    with pytest.raises(RunnerHung):
        make_runner("--never-ready", start=False).start(timeout=0.5)


def test_standing_still_is_a_hang_although_a_thread_says_alive(make_runner: MakeRunner) -> None:
    runner = make_runner()
    with pytest.raises(RunnerHung) as caught:
        runner.request("sleep", silence_timeout=1.0)
    assert caught.value.silent_seconds >= 1.0
    assert not runner.alive


def test_working_in_silence_is_no_hang_but_has_a_deadline(make_runner: MakeRunner) -> None:
    make_runner().request("spin", {"seconds": 1.5}, silence_timeout=0.8)
    with pytest.raises(RunnerDeadlineExceeded):
        make_runner().request("spin", {"seconds": 30}, silence_timeout=5, deadline=0.5)


def test_cancelling_kills_within_a_second(make_runner: MakeRunner) -> None:
    runner = make_runner()
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    started = time.monotonic()
    with pytest.raises(RunnerCancelled):
        runner.request("sleep", cancel=cancel)
    assert time.monotonic() - started < 1.3
    assert not runner.alive


def test_nothing_in_the_sandbox_outlives_it(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.request("outlive", {"seconds": 4321})
    runner.kill()
    deadline = time.monotonic() + 5
    while _sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _sleepers()


def _sleepers() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"/runner/run.py" in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_a_runner_started_by_a_thread_outlives_that_thread(make_runner: MakeRunner) -> None:
    """die-with-parent follows the parent's thread; an agent starts runners from worker threads that come and go."""
    made: list[RunnerProcess] = []
    thread = threading.Thread(target=lambda: made.append(make_runner()))
    thread.start()
    thread.join()
    time.sleep(0.5)
    assert made[0].request("echo")["op"] == "echo"


@pytest.mark.parametrize(("op", "payload"), [("eat", {}), ("eat_in_children", {"children": 6, "bytes": 60 * MIB})])
def test_eating_memory_ends_the_sandbox_and_names_the_limit(
    make_runner: MakeRunner, op: str, payload: dict[str, int]
) -> None:
    runner = make_runner()
    with pytest.raises(RunnerOutOfMemory) as caught:
        runner.request(op, payload, deadline=30)
    assert caught.value.limit == "memory_bytes"
    assert caught.value.used > SMALL.memory_bytes
    assert runner.last_usage is not None
    assert runner.last_usage.peak_memory_bytes > SMALL.memory_bytes


def test_one_jump_far_over_the_limit_is_refused_by_the_kernel(make_runner: MakeRunner) -> None:
    with pytest.raises(RunnerOutOfMemory) as caught:
        make_runner().request("eat_at_once", {"bytes": 4 * 1024 * MIB})
    assert not caught.value.killed


@pytest.mark.parametrize(
    "text",
    [
        "not json\n",
        "[1]\n",
        '{"id": 99, "ok": true, "result": {}}\n',
        '{"id": 1, "ok": true, "result": [1]}\n',
        '{"id": 1, "ok": true, "result": {"x": NaN}}\n',
        '{"id": 1, "event": "progress", "done": 7}\n',
        '{"id": 1, "event": "progress", "done": ' + "1" * 5000 + "}\n",
        '{"id": 1}\n',
        '{"id": 1, "ok": false, "error": "oh"}\n',
        "[" * 100_000 + "\n",
        "\0\n",
    ],
)
def test_garbage_is_a_protocol_error(make_runner: MakeRunner, text: str) -> None:
    runner = make_runner()
    with pytest.raises(RunnerProtocolError):
        runner.request("write", {"text": text}, deadline=20)
    assert not runner.alive


@pytest.mark.parametrize("op", ["huge_line", "flood"])
def test_too_long_or_too_much_is_a_protocol_error(make_runner: MakeRunner, op: str) -> None:
    with pytest.raises(RunnerProtocolError):
        make_runner().request(op, deadline=20)


def test_closing_its_output_is_a_hang(make_runner: MakeRunner) -> None:
    """The sandbox's init holds the pipe too, so there is no end of file to see."""
    with pytest.raises(RunnerHung):
        make_runner().request("close", silence_timeout=0.5, deadline=20)


def test_filling_the_scratch_folder_ends_the_sandbox(make_runner: MakeRunner) -> None:
    limits = Limits(memory_bytes=256 * MIB, scratch_bytes=16 * MIB)
    with pytest.raises(RunnerLimitExceeded) as caught:
        make_runner(limits=limits).request("fill", deadline=30)
    assert caught.value.limit == "scratch_bytes"


def test_results_are_only_plain_files_of_the_promised_length(make_runner: MakeRunner, spec: SandboxSpec) -> None:
    secret = spec.scratch.parent / "key"
    secret.write_text("secret")
    runner = make_runner()
    code = (
        "import os, socket\n"
        f"os.symlink({str(secret)!r}, '/scratch/link')\n"
        "os.mkfifo('/scratch/pipe')\n"
        "os.mkdir('/scratch/folder')\n"
        "socket.socket(socket.AF_UNIX).bind('/scratch/socket')\n"
        "open('/scratch/right', 'wb').write(b'12345')\n"
    )
    runner.request("python", {"code": code})
    assert read_result(spec.scratch, "/scratch/right", size=5) == b"12345"
    for name in (
        "link",
        "pipe",
        "folder",
        "socket",
        "../key",
        "folder/../right",
        ".hidden",
        "missing",
        "",
        7,
        "a" * 300,
        "a\0b",
    ):
        with pytest.raises(RunnerProtocolError):
            read_result(spec.scratch, name, max_size=100)
    with pytest.raises(RunnerProtocolError, match="5 bytes where the lease fixes 6"):
        read_result(spec.scratch, "right", size=6)
    with pytest.raises(RunnerProtocolError):
        read_result(spec.scratch, "right", max_size=4)


def test_unsandboxed_is_refused_unless_the_operator_insists_and_speaks_the_same_paths(make_runner: MakeRunner) -> None:
    with pytest.raises(SandboxRefused, match="--unsandboxed"):
        Unsandboxed(operator_insists=False)
    with pytest.warns(RuntimeWarning, match="UNSANDBOXED"):
        launcher = Unsandboxed(operator_insists=True)
    runner = make_runner(launcher=launcher)
    runner.request("python", {"code": "open('seen', 'w').write('x')"})
    assert (runner.spec.scratch / "seen").read_text() == "x"
    echoed = runner.request("echo", {"out": "/scratch/a", "deep": [{"x": "/scratch"}], "text": "not /scratch"})
    assert echoed["out"] == str(runner.spec.scratch / "a")
    assert echoed["deep"] == [{"x": str(runner.spec.scratch)}]
    assert echoed["text"] == "not /scratch"
    environment = runner.request("python", {"code": "import os; value = dict(os.environ)"})["value"]
    assert isinstance(environment, dict)
    assert set(environment) <= {*_EXPECTED_ENVIRONMENT}
    assert os.environ.get("HOME") != environment["HOME"]


_EXPECTED_ENVIRONMENT = [
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONNOUSERSITE",
    "PYTHONUNBUFFERED",
    "PWD",
]
