"""The operator's file, `node.json` in the node's folder."""

from __future__ import annotations

import re
from datetime import datetime, time
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jobs.errors import BadInput
from jobs.spec import explain

__all__ = ["DeviceChoice", "Hours", "NodeConfig"]

_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")


class Hours(NamedTuple):
    """From one time of day to another, local time; over midnight where the first is the later one."""

    first: time
    last: time

    @classmethod
    def parse(cls, text: str) -> Hours | None:
        """`22:00-07:00`, `night` (the same), or `always` (None). Raises ValueError."""
        plain = text.strip().lower()
        if plain in ("", "always"):
            return None
        match = _HOURS.fullmatch("22:00-07:00" if plain == "night" else plain)
        if match is None or match.group(1, 2) == match.group(3, 4):
            raise ValueError("write always, night, or hours such as 22:00-07:00")
        return cls(time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4])))

    def hold(self, now: datetime) -> bool:
        """Whether `now` lies in them."""
        at = now.time()
        if self.first < self.last:
            return self.first <= at < self.last
        return at >= self.first or at < self.last


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DeviceChoice(_Part):
    """One device, and whether it works."""

    device: str = Field(pattern=r"^(CPU|[A-Z]{2,10}:\d{1,3})$")
    """As `kilnet node run --device` takes it."""
    enabled: bool = True


class NodeConfig(_Part):
    """What `kilnet node setup` wrote."""

    gateway: str
    name: str = ""
    ask: float = Field(default=0.1, gt=0, le=1e6)
    """USD per kiln-hour."""
    region: str = ""
    devices: tuple[DeviceChoice, ...] = (DeviceChoice(device="CPU"),)
    hours: str = "always"
    pause_for_me: bool = True
    """A GPU does not work while programs of somebody else use it."""
    memory_gb: float | None = Field(default=None, gt=0)
    """Of one runner."""
    cache_gb: float = Field(default=32.0, gt=0)
    stake_as_needed: bool = False
    unsandboxed: bool = False

    @field_validator("hours")
    @classmethod
    def _hours(cls, text: str) -> str:
        Hours.parse(text)
        return text.strip().lower() or "always"

    @classmethod
    def load(cls, file: Path) -> NodeConfig:
        """Raises BadInput naming the field."""
        try:
            return cls.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            raise BadInput(f"{file}: there is none yet; `kilnet node setup` writes it") from None
        except OSError as error:
            raise BadInput(f"{file}: cannot be read ({error.strerror})") from error
        except ValidationError as error:
            raise BadInput(f"{file}: {explain(error)}") from error

    def save(self, file: Path) -> None:
        """In one step: a file that is half written would stop the node at its next start."""
        part = file.with_suffix(".part")
        part.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        part.replace(file)

    def arguments(self, choice: DeviceChoice, data: Path) -> list[str]:
        """What `kilnet node run` is started with for one device."""
        stake = ["--stake-as-needed"] if self.stake_as_needed else []
        return [*self._common(choice, data), "--cache-gb", f"{self.cache_gb:g}", *stake]

    def registering(self, choice: DeviceChoice, data: Path) -> list[str]:
        """What `kilnet node register` is started with."""
        return [*self._common(choice, data), *([] if self.stake_as_needed else ["--no-stake"])]

    def _common(self, choice: DeviceChoice, data: Path) -> list[str]:
        single = len(self.devices) == 1
        folder = data if single else data / choice.device.lower().replace(":", "-")
        suffix = "" if single else f" {choice.device}"
        options = [
            "--gateway", self.gateway, "--data", str(folder), "--device", choice.device, "--ask", f"{self.ask:g}",
        ]  # fmt: skip
        for option, value in (("--name", f"{self.name}{suffix}" if self.name else ""), ("--region", self.region)):
            options += [option, value] if value else []
        options += ["--memory-gb", f"{self.memory_gb:g}"] if self.memory_gb else []
        return options + (["--unsandboxed"] if self.unsandboxed else [])
