"""How a channel of a render is made, which decides how sample ranges of it are put together.

The Blender runner tells the kind of every channel of a scene, since only it knows which names are AOVs and light
groups; `pass_kind` knows the names that Blender itself gives.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PassKind", "colour_channel", "cryptomatte_rank", "pass_kind"]


class PassKind(StrEnum):
    """How the sample ranges of a channel merge."""

    MEAN = "mean"
    """Linear in the samples: the mean, weighted by their number."""
    FIRST = "first"
    """Depth, position and indices: written by sample 0 alone."""
    BY_COLOR = "by_color"
    """Light stored divided by its colour pass: multiplied out, averaged, divided again."""
    CRYPTOMATTE = "cryptomatte"
    """Pairs of ID and coverage, ranked by coverage: added ID by ID."""
    UNKNOWN = "unknown"
    """Not to be merged: such a job is split in space only."""


_MEAN = frozenset(
    (
        "Combined", "Noisy Image", "Mist", "Normal", "Vector", "UV", "Emission", "Environment", "Ambient Occlusion",
        "Diffuse Color", "Glossy Color", "Transmission Color", "Volume Direct", "Volume Indirect", "Denoising Albedo",
        "Denoising Specular Albedo", "Denoising Normal", "Denoising Roughness", "Denoising Depth",
    )
)  # fmt: skip
_FIRST = frozenset(("Depth", "Position", "Object Index", "Material Index", "IndexOB", "IndexMA"))
_LOBES = ("Diffuse", "Glossy", "Transmission")
_BY_COLOR = frozenset(f"{lobe} {part}" for lobe in _LOBES for part in ("Direct", "Indirect"))
_CRYPTOMATTE = ("CryptoObject", "CryptoMaterial", "CryptoAsset")


def _pass_names(channel: str) -> tuple[str, ...]:
    """What may be the pass in `Layer.Pass.Component` and in `Layer.Pass.view.Component`."""
    parts = channel.split(".")
    return tuple(parts[-2:-4:-1]) if len(parts) > 3 else tuple(parts[-2:-1])


def pass_kind(channel: str) -> PassKind:
    """The kind of `Layer.Pass[.view].Component` by Blender's own pass names; UNKNOWN for any other name."""
    for name in _pass_names(channel):
        if name in _MEAN or name.startswith("Combined_"):
            return PassKind.MEAN
        if name in _FIRST:
            return PassKind.FIRST
        if name in _BY_COLOR:
            return PassKind.BY_COLOR
        if name[:-2] in _CRYPTOMATTE and name[-2:].isdigit():
            return PassKind.CRYPTOMATTE
    return PassKind.UNKNOWN


def colour_channel(channel: str) -> str:
    """The colour channel that a BY_COLOR channel is stored divided by."""
    for part in (" Direct.", " Indirect."):
        head, found, tail = channel.rpartition(part)
        if found:
            return f"{head} Color.{tail}"
    raise ValueError(f"{channel!r} is not a light pass that is divided by its colour")


def cryptomatte_rank(channel: str) -> tuple[str, int, str]:
    """(group, rank, "id" or "coverage") of a Cryptomatte channel.

    A pass `CryptoObject01` holds ranks 2 and 3: r and g are ID and coverage of the first, b and a of the second.
    """
    head, component = channel.rsplit(".", 1)
    parts = head.split(".")
    at = next(i for i in range(len(parts) - 1, -1, -1) if parts[i][:-2] in _CRYPTOMATTE and parts[i][-2:].isdigit())
    level = int(parts[at][-2:])
    group = ".".join([*parts[:at], parts[at][:-2], *parts[at + 1 :]])
    place = "rgba".index(component.lower())
    return group, 2 * level + place // 2, "id" if place % 2 == 0 else "coverage"
