"""A node that works when its operator lets it: `kilnet node run` for each device, started and stopped by the clock and
by who else uses the GPU. A stop is a SIGTERM: what is not finished is given back at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import psutil

from node.setup.config import DeviceChoice, Hours, NodeConfig

__all__ = ["foreign_gpu_use", "keep_running", "may_work"]

_LOOK_SECONDS = 2.0
_STOP_SECONDS = 45.0
_AGAIN_SECONDS = 10.0
"""A node that ended by itself is started again after so long."""


def may_work(config: NodeConfig, choice: DeviceChoice, now: datetime, gpu_in_use: Mapping[int, bool]) -> str | None:
    """None where the device may work now, else why not, in words."""
    if not choice.enabled:
        return "switched off in node.json"
    hours = Hours.parse(config.hours)
    if hours is not None and not hours.hold(now):
        return f"outside {config.hours}"
    kind, _, index = choice.device.partition(":")
    if config.pause_for_me and kind != "CPU" and gpu_in_use.get(int(index or 0), False):
        return "the GPU is in use"
    return None


def foreign_gpu_use(own: set[int]) -> dict[int, bool]:
    """For each NVIDIA GPU whether programs that are not among the processes `own` compute on it; empty without
    nvidia-smi, or where it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}

    def ask(what: str) -> list[list[str]]:
        done = subprocess.run(
            [program, what, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=20, check=False
        )
        return [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]

    try:
        indices = {row[1]: int(row[0]) for row in ask("--query-gpu=index,uuid") if len(row) == 2 and row[0].isdigit()}
        used = dict.fromkeys(indices.values(), False)
        for row in ask("--query-compute-apps=gpu_uuid,pid"):
            if len(row) == 2 and row[0] in indices and row[1].isdigit() and int(row[1]) not in own:
                used[indices[row[0]]] = True
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return used


class _Device:
    """One device's process."""

    def __init__(self, choice: DeviceChoice, command: list[str], say: Callable[[str], None]) -> None:
        self.choice, self._command, self._say = choice, command, say
        self.process: subprocess.Popen[bytes] | None = None
        self._told: str | None = ""
        self._not_before = 0.0

    def follow(self, reason: str | None) -> None:
        """Run, or do not, for this reason."""
        if reason != self._told:
            self._told = reason
            self._say(f"{self.choice.device}: {'works' if reason is None else f'pauses ({reason})'}")
        if self.process is not None and self.process.poll() is not None:
            self._say(f"{self.choice.device}: ended with {self.process.returncode}; starts again soon")
            self.process, self._not_before = None, time.monotonic() + _AGAIN_SECONDS
        if reason is not None:
            self.stop()
        elif self.process is None and time.monotonic() >= self._not_before:
            self.process = subprocess.Popen(self._command)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def pids(self) -> set[int]:
        if self.process is None:
            return set()
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return set()
        return {self.process.pid, *(one.pid for one in found)}


def keep_running(config_file: Path, *, say: Callable[[str], None], now: Callable[[], datetime] = datetime.now) -> None:
    """Until SIGTERM or Ctrl-C. The file is read again when it changes. Raises BadInput where it is wrong at the start;
    later what it said before goes on."""
    data = config_file.parent
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    devices: list[_Device] = []
    seen: float | None = None
    config = NodeConfig.load(config_file)
    try:
        while not stopping:
            changed = config_file.stat().st_mtime if config_file.exists() else seen
            if changed != seen:
                seen = changed
                try:
                    config = NodeConfig.load(config_file)
                except Exception as error:  # whatever is wrong with it, the node goes on as it was
                    say(f"{error}; going on as before")
                else:
                    for device in devices:
                        device.stop()
                    program = [sys.executable, "-m", "node", "run"]
                    devices = [
                        _Device(choice, [*program, *config.arguments(choice, data)], say) for choice in config.devices
                    ]
            own = {os.getpid()}.union(*(device.pids() for device in devices))
            gpus = any(device.choice.device != "CPU" for device in devices)
            in_use = foreign_gpu_use(own) if gpus and config.pause_for_me else {}
            for device in devices:
                device.follow(may_work(config, device.choice, now(), in_use))
            end = time.monotonic() + _LOOK_SECONDS
            while not stopping and time.monotonic() < end:
                time.sleep(0.1)
    finally:
        for device in devices:
            device.stop()
