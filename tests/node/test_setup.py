"""Setting a node up: in a real terminal, by options alone, and what keeps it within its hours."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from jobs.errors import BadInput
from node.setup import DeviceChoice, Hours, NodeConfig, container_text
from node.setup.watch import foreign_gpu_use, may_work

COMMAND = [sys.executable, "-m", "node"]


def _at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{clock}:00")


def test_hours() -> None:
    """Over midnight and within a day; the end is outside; nonsense is refused."""
    night, day = Hours.parse("night"), Hours.parse("9:30-17:00")
    assert night is not None and day is not None and Hours.parse("always") is None
    assert [night.hold(_at(clock)) for clock in ("21:59", "22:00", "03:00", "06:59", "07:00")] == [
        False, True, True, True, False,
    ]  # fmt: skip
    assert [day.hold(_at(clock)) for clock in ("09:29", "09:30", "16:59", "17:00")] == [False, True, True, False]
    for wrong in ("25:00-07:00", "7-9", "08:00-08:00", "at night"):
        with pytest.raises(ValueError, match="such as 22:00-07:00"):
            Hours.parse(wrong)


def test_when_a_device_works() -> None:
    """Its switch, the hours, and other people's programs on the GPU; the CPU does not mind those."""
    config = NodeConfig(gateway="http://x", hours="night")
    gpu, cpu = DeviceChoice(device="OPTIX:1"), DeviceChoice(device="CPU")
    assert may_work(config, gpu, _at("23:00"), {0: True, 1: False}) is None
    assert may_work(config, gpu, _at("23:00"), {1: True}) == "the GPU is in use"
    assert may_work(config, cpu, _at("23:00"), {0: True}) is None
    assert may_work(config, cpu, _at("12:00"), {}) == "outside night"
    off = DeviceChoice(device="OPTIX:1", enabled=False)
    assert may_work(config, off, _at("23:00"), {}) == "switched off in node.json"
    shared = config.model_copy(update={"pause_for_me": False})
    assert may_work(shared, gpu, _at("23:00"), {1: True}) is None


def test_other_programs_are_told_from_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what nvidia-smi prints, here by a program of that name with the real one's output."""
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\ncase $1 in\n*query-gpu*) printf '0, GPU-a\\n1, GPU-b\\n';;\n"
        "*) printf 'GPU-a, 41\\nGPU-b, 42\\n';;\nesac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert foreign_gpu_use({41}) == {0: False, 1: True}


def test_in_a_terminal(tmp_path: Path) -> None:
    """The five questions, a wrong answer asked again, the file, the unit."""
    pexpect = pytest.importorskip("pexpect", reason="NOT TESTED IN A TERMINAL: pexpect is not installed; make setup")
    child = pexpect.spawn(
        COMMAND[0], [*COMMAND[1:], "setup", "--data", str(tmp_path / "node")], encoding="utf-8", timeout=60
    )
    for question, answer in (
        ("Gateway", "farm.example"), ("write https", None), ("Gateway", "https://farm.example"), ("Devices", "CPU"),
        ("Price", "0"), ("positive", None), ("Price", "0.25"), ("Hours", "night"), ("Region", "eu-de"),
    ):  # fmt: skip
        child.expect(question)
        if answer is not None:
            child.sendline(answer)
    child.expect("is written")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    config = NodeConfig.load(tmp_path / "node" / "node.json")
    assert (config.gateway, config.ask, config.hours, config.region) == ("https://farm.example", 0.25, "night", "eu-de")
    assert [one.device for one in config.devices if one.enabled] == ["CPU"]
    unit = subprocess.run(
        [*COMMAND, "unit", "--data", str(tmp_path / "node")], capture_output=True, text=True, check=True
    ).stdout
    assert "node start --data" in unit and "Restart=always" in unit and str(tmp_path / "node") in unit
    assert "FROM debian:trixie-slim" in container_text("1.0")


def test_by_options_alone(tmp_path: Path) -> None:
    """No terminal, no question; what is wrong is one line and exit code 2, and nothing is written."""

    def setup(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "setup", "--data", str(tmp_path / "node"), *arguments], capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    for wrong, told in (
        ((), "write https://HOST"),
        (("--gateway", "http://g", "--devices", "OPTIX:9"), "there are"),
        (("--gateway", "http://g", "--hours", "lunch"), "such as 22:00-07:00"),
        (("--gateway", "http://g", "--ask", "-1"), "positive price"),
    ):
        failed = setup(*wrong)
        assert failed.returncode == 2 and told in failed.stderr.splitlines()[-1], failed.stderr
    assert not (tmp_path / "node" / "node.json").exists()
    assert setup("--gateway", "http://g", "--cache-gb", "5", "--memory-gb", "2", "--yes").returncode == 0
    config = NodeConfig.load(tmp_path / "node" / "node.json")
    arguments = config.arguments(config.devices[0], tmp_path)
    assert "--cache-gb 5" in " ".join(arguments) and "--memory-gb 2" in " ".join(arguments)
    with pytest.raises(BadInput, match="kilnet node setup"):
        NodeConfig.load(tmp_path / "none.json")


def test_start_pauses_and_follows_the_file(tmp_path: Path) -> None:
    """Outside its hours nothing is started; a changed file counts at once; SIGTERM ends all of it."""
    config = NodeConfig(gateway="http://127.0.0.1:9", devices=(DeviceChoice(device="CPU", enabled=False),))
    config.save(tmp_path / "node.json")
    process = subprocess.Popen(
        [*COMMAND, "start", "--data", str(tmp_path)], stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "CPU: pauses (switched off in node.json)\n"
    told = json.loads((tmp_path / "node.json").read_text())
    (tmp_path / "node.json").write_text(json.dumps({**told, "hours": "nonsense"}))
    assert "going on as before" in process.stderr.readline()
    time.sleep(0.05)
    NodeConfig.model_validate({**told, "devices": [{"device": "CPU"}]}).save(tmp_path / "node.json")
    assert process.stderr.readline() == "CPU: works\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)
    assert process.returncode == 0
