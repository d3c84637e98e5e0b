"""From inside a sandbox nothing of its host can be seen, reached, changed or used up."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.runner_process import RunnerCrashed, RunnerError, RunnerLimitExceeded, RunnerProcess
from node.sandbox import MIB, Bind, Limits, SandboxSpec, build_command, find_runtime, sandbox_available
from node.sandbox.seccomp import DENIED, seccomp_filter
from tests.sandbox.conftest import MakeRunner


def value_of(runner: RunnerProcess, code: str) -> object:
    return runner.request("python", {"code": code})["value"]


def test_the_report_says_that_it_works() -> None:
    report = sandbox_available()
    assert (report.available, report.namespaces, report.remedy) == (True, True, "")
    assert report.bwrap is not None


def test_without_bwrap_the_report_names_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    report = sandbox_available()
    assert not report.available
    assert all(name in report.remedy for name in ("apt install bubblewrap", "dnf install", "pacman -S"))


def test_an_old_bwrap_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho bubblewrap 0.4.1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    report = sandbox_available()
    assert not report.available
    assert "0.4.1 is too old" in report.detail


def test_the_environment_is_cleared(make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILNET_KEY_PASSWORD", "secret")
    environment = value_of(make_runner(), "import os; value = dict(os.environ)")
    assert isinstance(environment, dict)
    assert "secret" not in str(environment)
    assert environment["HOME"] == "/tmp"


def test_the_root_holds_no_home_no_etc_and_no_other_files(make_runner: MakeRunner, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    runner = make_runner()
    root = value_of(runner, "import os; value = sorted(os.listdir('/'))")
    assert isinstance(root, list)
    assert not {"home", "run", "var", "boot", "srv", "sys", "media"} & set(root)
    etc = value_of(runner, "import os; value = sorted(os.listdir('/etc'))")
    assert isinstance(etc, list)
    assert set(etc) <= {"fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives"}
    for path in (tmp_path / "key", Path.home() / ".ssh", Path("/etc/passwd"), Path("/etc/hostname")):
        assert value_of(runner, f"import os; value = os.path.exists({str(path)!r})") is False


@pytest.mark.parametrize(
    "path", ["/new", "/usr/lib/new", "/job/new", "/job/scene", "/dev/new", "/etc/new", "/runner/run.py"]
)
def test_only_scratch_and_tmp_can_be_written(make_runner: MakeRunner, tmp_path: Path, path: str) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "scene").write_text("as it was")
    runner = make_runner(assets=assets)
    with pytest.raises(RunnerError) as caught:
        runner.request("python", {"code": f"open({path!r}, 'w')"})
    assert caught.value.code in {"OSError", "PermissionError"}
    assert (assets / "scene").read_text() == "as it was"
    runner.request("python", {"code": "open('/scratch/a', 'w'); open('/tmp/a', 'w')"})


def test_no_other_process_can_be_seen(make_runner: MakeRunner) -> None:
    pids = value_of(make_runner(), "import os; value = [p for p in os.listdir('/proc') if p.isdigit()]")
    assert isinstance(pids, list)
    assert len(pids) <= 3
    assert str(os.getpid()) not in pids or os.getpid() <= 3


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[Path, int, list[bytes]]]:
    """A Unix socket and a TCP port on loopback that greet whoever connects, as a broker on the same machine would."""
    heard: list[bytes] = []
    path = tmp_path / "broker.sock"
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    tcp = socket.create_server(("127.0.0.1", 0))
    for listener in (unix, tcp):
        listener.listen()

        def serve(listener: socket.socket = listener) -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    heard.append(connection.recv(10))
                    connection.sendall(b"+PONG")

        threading.Thread(target=serve, daemon=True).start()
    yield path, tcp.getsockname()[1], heard
    for listener in (unix, tcp):
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_a_broker_on_the_host_cannot_be_reached(make_runner: MakeRunner, broker: tuple[Path, int, list[bytes]]) -> None:
    path, port, heard = broker
    for attempt in (
        f"s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r})",
        f"socket.create_connection(('127.0.0.1', {port}), 2)",
    ):
        code = f"import socket; {attempt}"
        # Outside the same lines reach it: the test would prove nothing otherwise.
        subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
        with pytest.raises(RunnerError) as caught:
            make_runner().request("python", {"code": code})
        assert caught.value.code in {"FileNotFoundError", "OSError", "ConnectionRefusedError"}
    assert len(heard) == 2


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_VSOCK", "AF_PACKET"])
def test_only_unix_sockets_exist(make_runner: MakeRunner, family: str) -> None:
    with pytest.raises(RunnerError, match="not supported"):
        make_runner().request("python", {"code": f"import socket; socket.socket(socket.{family}, socket.SOCK_STREAM)"})


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="call numbers below are x86-64's")
@pytest.mark.parametrize(
    "call", ["unshare", "mount", "ptrace", "bpf", "keyctl", "io_uring_setup", "userfaultfd", "perf_event_open"]
)
def test_calls_that_kernels_are_attacked_through_are_denied(make_runner: MakeRunner, call: str) -> None:
    number = DENIED[call][0]
    for arguments in (f"{number}, 0", "56, 0x10000011"):  # 56 is clone, with CLONE_NEWUSER
        code = (
            "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
            f"libc.syscall({arguments}, 0, 0, 0, 0); value = ctypes.get_errno()"
        )
        assert value_of(make_runner(), code) == 1


def test_the_filter_is_well_formed_for_both_machines() -> None:
    """Every jump lands inside the program, and its last instruction returns."""
    for machine in ("x86_64", "aarch64"):
        program = seccomp_filter(machine)
        assert program is not None
        instructions = [program[at : at + 8] for at in range(0, len(program), 8)]
        assert len(program) % 8 == 0
        for index, instruction in enumerate(instructions):
            if instruction[0] & 7 == 5:
                assert index + 1 + max(instruction[2], instruction[3]) < len(instructions)
        assert instructions[-1] == b"\x06\0\0\0\0\0\xff\x7f"
    assert seccomp_filter("mips") is None


def test_the_call_numbers_are_the_kernels() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    generic = Path("/usr/include/asm-generic/unistd.h")
    if not header.exists() or not generic.exists():
        pytest.skip("no kernel headers here")
    for column, text in ((0, header.read_text()), (1, generic.read_text())):
        words = {line.split()[1]: line.split()[2] for line in text.splitlines() if line.startswith("#define __NR")}
        for name, numbers in DENIED.items():
            known = words.get(f"__NR_{name}", words.get(f"__NR3264_{name}"))
            assert known is None or numbers[column] is None or int(known) == numbers[column], name


def test_a_fork_bomb_is_limited(make_runner: MakeRunner) -> None:
    """The kernel stops it at the limit; for root, which the kernel exempts, the watchdog ends the sandbox."""
    runner = make_runner()
    if os.getuid() == 0:
        with pytest.raises(RunnerLimitExceeded) as caught:
            runner.request("forks", {"count": 5000}, deadline=30)
        assert caught.value.limit in {"processes", "memory_bytes"}  # whichever was seen first
        assert not runner.alive
    else:
        made = runner.request("forks", {"count": 5000}, deadline=30)["made"]
        assert isinstance(made, int)
        assert made < 64


def test_a_file_cannot_grow_past_its_limit(make_runner: MakeRunner) -> None:
    limits = Limits(memory_bytes=256 * MIB, file_bytes=1 * MIB)
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "open('/scratch/a', 'wb').write(bytes(2 * 1024**2))"
    with pytest.raises(RunnerError, match="too large"):
        make_runner(limits=limits).request("python", {"code": code})


def test_tmp_and_shared_memory_are_small(make_runner: MakeRunner) -> None:
    limits = Limits(memory_bytes=256 * MIB, tmp_bytes=4 * MIB)
    runner = make_runner(limits=limits)
    for folder in ("/tmp", "/dev/shm"):
        with pytest.raises(RunnerError, match="No space left"):
            runner.request("python", {"code": f"open('{folder}/a', 'wb').write(bytes(5 * 1024**2))"})


def test_processor_time_ends(make_runner: MakeRunner) -> None:
    limits = Limits(memory_bytes=256 * MIB, cpu_seconds=1)
    with pytest.raises(RunnerCrashed):
        make_runner(limits=limits).request("spin", {"seconds": 30}, deadline=20)


def test_killing_the_host_kills_the_sandbox(spec: SandboxSpec, tmp_path: Path) -> None:
    """kill -9 of a node leaves nothing of a stranger's scene running."""
    host = tmp_path / "host.py"
    host.write_text(
        "import os, signal, subprocess, sys\n"
        "from pathlib import Path\n"
        "from node.sandbox import Bind, Bubblewrap, SandboxSpec, find_runtime\n"
        "runtime = find_runtime()\n"
        "spec = SandboxSpec(argv=(*runtime.command, '-c', 'import time; print(1, flush=True); time.sleep(3210)'),\n"
        "                   binds=runtime.binds, scratch=Path(sys.argv[1]))\n"
        "process = Bubblewrap().start(spec, stdout=subprocess.PIPE)\n"
        "process.stdout.readline()\n"
        "print(process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, str(host), str(spec.scratch)],
        capture_output=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    pid = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes():
            return
        threading.Event().wait(0.05)
    pytest.fail("the sandbox outlived its host")


def test_a_spec_is_checked_before_anything_starts(tmp_path: Path) -> None:
    good = SandboxSpec(argv=("/usr/bin/true",), scratch=tmp_path)
    for changes in ({"argv": ()}, {"scratch": Path("relative")}, {"devices": (Path("/etc/shadow"),)}):
        with pytest.raises(ValueError):
            replace(good, **changes)  # type: ignore[arg-type]


def test_devices_are_bound_by_name_and_nothing_else_of_dev(tmp_path: Path) -> None:
    spec = SandboxSpec(
        argv=("x",), scratch=tmp_path, devices=(Path("/dev/nvidia0"),), binds=(Bind(Path("/opt/driver")),)
    )
    command = build_command(spec)
    assert [command[i + 1] for i, word in enumerate(command) if word == "--dev-bind"] == ["/dev/nvidia0"]
    assert command[command.index("/opt/driver") - 1] == "--ro-bind"


def test_a_runtime_never_binds_a_home_or_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = [bind.source for bind in find_runtime().binds]
    assert Path.home() not in bound
    assert not {Path("/"), Path("/usr"), Path("/etc")} & set(bound)
    blender = tmp_path / "blender"
    blender.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match="a folder of its own"):
        find_runtime(blender=blender)
    with pytest.raises(FileNotFoundError):
        find_runtime(blender=tmp_path / "missing")
