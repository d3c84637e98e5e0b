"""Which machines a job may go to: what a client asks for, what a machine offers, and by what name it does not fit.

Pure: the same decision is taken for the quote, for each lease, and for the line that says what a job waits for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobs.errors import BadInput

__all__ = [
    "DEVICE_KINDS", "Constraint", "Machine", "Needs", "device_kind", "in_region", "parse_device", "parse_region",
    "region_error",
]  # fmt: skip

GIB = 1 << 30
_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST_REGION = 40
DEVICE_KINDS = ("CPU", "GPU", "CUDA", "OPTIX", "HIP", "METAL", "ONEAPI", "MIGRAPHX", "TENSORRT")
"""What a job may ask for; GPU is all but CPU."""


class Constraint(StrEnum):
    """Why a machine does not fit, in the order in which it is looked at."""

    RUNTIME = "runtime"
    """It does not have the version of Blender or ONNX Runtime that the job needs."""
    STANDING = "standing"
    """It is suspended, or lets its leases lapse."""
    OWNER = "owner"
    """Its owner is not among the trusted ones, or has not signed for it."""
    REGION = "region"
    DEVICE = "device"
    MEMORY = "memory"
    VRAM = "vram"
    REPUTATION = "reputation"
    AUDIT = "audit"
    """Nobody independent can judge what it computes."""
    PRICE = "price"
    """It asks more than the job's clearing price."""
    EXCLUDED = "excluded"
    """It has failed at the tile already."""
    CLASS = "class"
    """A frame was begun in another numerics class."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One device of a worker, as far as constraints see it."""

    address: str
    owner: str | None
    """Who proved by signature to own it; None where nobody did."""
    region: str
    device: str
    """As registered: CPU, OPTIX, CUDAExecutionProvider."""
    memory_bytes: int
    """What a runner may use."""
    vram_bytes: int
    """Of the device itself; 0 where it has none of its own or does not say."""
    reputation: float
    """jobs.auction.reputation, 0..1."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a job asks of a machine; by default nothing."""

    owners: frozenset[str] = frozenset()
    """Addresses in lower case; empty: anybody's."""
    regions: tuple[str, ...] = ()
    """In one of them; empty: anywhere."""
    not_regions: tuple[str, ...] = ()
    """In none of them."""
    devices: tuple[str, ...] = ()
    min_memory_bytes: int = 0
    min_vram_bytes: int = 0
    min_reputation: float = 0.0

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Needs:
        """From a job spec as JSON (of any version: what it does not name it does not ask for)."""
        return cls(
            owners=frozenset(str(owner).lower() for owner in spec.get("owners") or ()),
            regions=tuple(spec.get("regions") or ()),
            not_regions=tuple(spec.get("not_regions") or ()),
            devices=tuple(spec.get("devices") or ()),
            min_memory_bytes=int(float(spec.get("min_memory_gb") or 0) * GIB),
            min_vram_bytes=int(float(spec.get("min_vram_gb") or 0) * GIB),
            min_reputation=float(spec.get("min_reputation") or 0),
        )

    def admits(self, address: str, owner: str | None, region: str) -> Constraint | None:
        """The constraint of data residency or trust that a machine breaks: who breaks one may not see the job at all,
        neither to work on it nor to audit it."""
        if self.owners and not {address.lower(), (owner or "").lower()} & self.owners:
            return Constraint.OWNER
        if self.regions and not any(in_region(region, allowed) for allowed in self.regions):
            return Constraint.REGION
        # Who does not say where it stands might stand in what is ruled out.
        if self.not_regions and (not region or any(in_region(region, denied) for denied in self.not_regions)):
            return Constraint.REGION
        return None

    def unmet(self, machine: Machine) -> Constraint | None:
        """The first constraint that this machine breaks; None where it fits."""
        hidden = self.admits(machine.address, machine.owner, machine.region)
        if hidden is not None:
            return hidden
        if self.devices and not any(_is_kind(machine.device, wanted) for wanted in self.devices):
            return Constraint.DEVICE
        if machine.memory_bytes < self.min_memory_bytes:
            return Constraint.MEMORY
        if machine.vram_bytes < self.min_vram_bytes:
            return Constraint.VRAM
        if machine.reputation < self.min_reputation:
            return Constraint.REPUTATION
        return None

    def wanted(self, constraint: Constraint) -> str:
        """What a constraint of the client's asks for, to be read after "a node"."""
        match constraint:
            case Constraint.OWNER:
                many = f"the {len(self.owners)} owners" if len(self.owners) > 1 else "the owner"
                return f"of {many} that the job trusts"
            case Constraint.REGION:
                allowed = f"in region {' or '.join(self.regions)}" if self.regions else ""
                denied = f"outside {', '.join(self.not_regions)}" if self.not_regions else ""
                return " and ".join(part for part in (allowed, denied) if part)
            case Constraint.DEVICE:
                return f"with a device of kind {' or '.join(self.devices)}"
            case Constraint.MEMORY:
                return f"with {self.min_memory_bytes / GIB:g} GiB of memory"
            case Constraint.VRAM:
                return f"with {self.min_vram_bytes / GIB:g} GiB of device memory"
            case Constraint.REPUTATION:
                return f"of reputation {self.min_reputation:g} or better"
            case _:
                raise ValueError(f"{constraint} is not the client's")


def in_region(region: str, wanted: str) -> bool:
    """Whether a machine of `region` stands in `wanted`: `eu-de` is in `eu`, `europe` is not. Case does not matter."""
    region, wanted = region.lower(), wanted.lower()
    return region == wanted or region.startswith(f"{wanted}-")


def device_kind(device: str) -> str:
    """The kind of a device or execution provider as registered: CPU, CUDA, OPTIX and so on."""
    return device.upper().partition(":")[0].removesuffix("EXECUTIONPROVIDER")


def _is_kind(device: str, wanted: str) -> bool:
    kind = device_kind(device)
    return kind == wanted or (wanted == "GPU" and kind != "CPU")


def region_error(region: str) -> str | None:
    """What is wrong with the name of a region, or None."""
    if len(region) <= _LONGEST_REGION and _REGION.fullmatch(region):
        return None
    return f"{region[:60]!r} is no region: write lower-case words joined by -, such as eu or eu-de"


def parse_region(text: str, option: str = "--region") -> str:
    """A region as typed. Raises BadInput."""
    region = text.strip().lower()
    if (wrong := region_error(region)) is not None:
        raise BadInput(f"{option}: {wrong}")
    return region


def parse_device(text: str, kinds: Sequence[str] = DEVICE_KINDS) -> str:
    """A kind of device as typed. Raises BadInput naming those that there are."""
    kind = device_kind(text.strip())
    if kind not in kinds:
        raise BadInput(f"--device {text!r}: there are {', '.join(kinds)}")
    return kind
