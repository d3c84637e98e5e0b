"""`kilnet doctor`, and what `make` asks of the system before anything of ours is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.stack import doctor, system_packages
from coordinator.stack.layout import Layout
from coordinator.stack.locks import StackLock
from coordinator.stack.system_packages import SystemPart, install_command, main

_ROOT = Path(__file__).parents[2]
_KILNET = [sys.executable, "-m", "coordinator.cli.main"]
_ABSENT = SystemPart("libkilnet-absent.so.1", "Blender", True, "libabsent1", "absent", "absent-arch")


def test_doctor_json_is_one_object_that_agrees_with_the_exit_code() -> None:
    """Programs get one JSON object on stdout and nothing else; 0 exactly where nothing needed is missing."""
    done = subprocess.run([*_KILNET, "doctor", "--json"], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    needed = [check for check in report["checks"] if check["needed"]]
    assert {"Blender", "ONNX Runtime", "broker", "chain"} <= {check["name"] for check in needed}
    assert report["ok"] == all(check["ok"] for check in needed) == (done.returncode == 0)
    assert all(check["remedy"] for check in report["checks"] if not check["ok"])


def test_a_missing_library_is_named_with_each_distributions_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without leave to install, the packages of Debian, Fedora and Arch are printed, and the status is not 0."""
    monkeypatch.setattr(system_packages, "PARTS", (_ABSENT,))
    assert main([]) == 1
    said = capsys.readouterr().err
    assert "libkilnet-absent.so.1" in said
    assert "apt-get install -y --no-install-recommends libabsent1" in said
    assert "dnf install -y absent" in said
    assert "pacman -S --needed --noconfirm absent-arch" in said


def test_what_is_optional_does_not_stop_the_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sandbox the demonstration still runs its own samples, and says so."""
    monkeypatch.setattr(system_packages, "PARTS", (_ABSENT._replace(required=False),))
    assert main([]) == 0


def test_doctor_names_the_package_of_a_library_that_blender_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader's own message leads to the package of this distribution."""
    line = "ImportError: libSM.so.6: cannot open shared object file: No such file or directory"
    monkeypatch.setattr(doctor, "_run", lambda _: (False, line))
    monkeypatch.setattr(doctor, "distribution", lambda: "debian")
    check = doctor._blender()
    assert not check.ok
    assert check.remedy.endswith(" libsm6")


def test_every_part_has_a_package_in_every_family() -> None:
    """Nobody is left with a soname to search for."""
    for part in system_packages.PARTS:
        for family in ("debian", "fedora", "arch"):
            assert install_command([part], family)[-1] not in ("", "-y", "--noconfirm"), part


def test_a_shim_that_does_not_run_is_no_python(tmp_path: Path) -> None:
    """pyenv leaves a python3.13 on PATH that only prints a message: the real one is found behind it."""
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    pyenv = tmp_path / "pyenv" / "versions" / "3.13.9" / "bin"
    pyenv.mkdir(parents=True)
    (pyenv / "python3.13").symlink_to(Path(sys.executable).resolve())
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYENV_ROOT": str(tmp_path / "pyenv"),
        "HOME": "/nowhere",
    }
    done = subprocess.run(
        ["sh", "scripts/find-python.sh"], cwd=_ROOT, env=environment, capture_output=True, text=True, check=True
    )
    found = done.stdout.strip()
    version = subprocess.run([found, "-V"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("Python 3.13")


def test_a_second_stack_on_the_same_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    """`kilnet up` on a folder in use ends at once with exit code 4 and says whose it is."""
    layout = Layout(tmp_path / "data")
    layout.create()
    lock = StackLock(layout.lock)
    lock.take()
    try:
        command = [*_KILNET, "up", "--data", str(layout.data)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    finally:
        lock.release()
    assert done.returncode == 4
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"process {os.getpid()}" in done.stderr
