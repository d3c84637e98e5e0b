"""Comparison by look: what honest drivers do passes, gross faults do not, and what it cannot see is known."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.contract import InferContract, Lane, RenderContract, TensorSpec
from jobs.states import Verdict
from jobs.tiles import InferTile, RenderTile
from tests.unit.strategies import infer_contract, render_contract
from verification.commitment import cell_bytes
from verification.frames import item_picture
from verification.perceptual import compare_pictures

W, H = 192, 128
CONTRACT: RenderContract = render_contract(W, H, engine="BLENDER_EEVEE", lane=Lane.PERCEPTUAL)
TILE = RenderTile(frames=(1, 2), rect=(0, 0, W, H), samples=(0, 64))


def scene() -> np.ndarray:
    """(4 channels, H, W): a floor with squares, balls with soft shades, a sky."""
    y, x = np.mgrid[0:H, 0:W].astype(np.float32)
    floor = 0.3 + 0.3 * (((x // 16).astype(int) + (y // 16).astype(int)) % 2)
    picture = np.where(y < H / 3, 0.8 - y / H, floor)
    for cx, cy, r in ((50, 70, 28), (120, 80, 22)):
        d = np.hypot(x - cx, y - cy) / r
        picture = np.where(d < 1, 0.9 * np.sqrt(np.clip(1 - d**2, 0, 1)) + 0.05, picture)
    return np.stack([np.ones_like(picture), picture * 0.7, picture, picture * 0.9]).astype("<f4")


def noisy(picture: np.ndarray, sigma: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (picture * (1 + sigma * rng.standard_normal(picture.shape))).astype("<f4")


def compare(claimed: np.ndarray, redone: np.ndarray) -> Verdict:
    """As the second of two frames, the first being alike."""
    honest = scene()
    both = [np.ascontiguousarray(np.stack([honest, one])).tobytes() for one in (claimed, redone)]
    a, b = ({i: cell_bytes(CONTRACT, TILE, data, i) for i in range(TILE.cell_count())} for data in both)
    found = compare_pictures(CONTRACT, TILE, a, b)
    assert found.evidence["lane"] == "perceptual" and found.reason
    return found.verdict


def tampered() -> np.ndarray:
    picture = scene()
    picture[:, 64:96, 96:128] = 0.9
    return picture


@pytest.mark.parametrize(
    ("name", "claimed", "expected"),
    [
        ("the same bits", scene(), Verdict.ACCEPT),
        ("another driver's rounding", noisy(scene(), 0.002), Verdict.ACCEPT),
        ("black", np.zeros_like(scene()), Verdict.REJECT),
        ("white", np.ones_like(scene()), Verdict.REJECT),
        ("upside down", scene()[:, ::-1], Verdict.REJECT),
        ("another camera", np.roll(scene(), 24, axis=2), Verdict.REJECT),
        ("a fifth brighter", scene() * 1.2, Verdict.REJECT),
        ("one block in 24 pasted over", tampered(), Verdict.ESCALATE),
        ("not finite", np.full_like(scene(), np.inf), Verdict.REJECT),
    ],
)
def test_gross_faults_are_seen_and_rounding_is_not_one(name: str, claimed: np.ndarray, expected: Verdict) -> None:
    assert compare(np.ascontiguousarray(claimed, "<f4"), scene()) is expected, name


def test_what_lies_between_is_looked_at_again() -> None:
    """Noise of 8%: more than drivers differ by, less than a cheat that shows: neither paid nor blamed."""
    assert compare(noisy(scene(), 0.08, 2), noisy(scene(), 0.08, 3)) is Verdict.ESCALATE


def test_it_is_a_weak_proof() -> None:
    """Half of the samples of a clean picture pass: why this lane never slashes, and the quote says weak."""
    assert compare(noisy(scene(), 0.004, 2), noisy(scene(), 0.002, 3)) is Verdict.ACCEPT


def generator(shape: tuple[int, ...] = (3, 48, 64)) -> InferContract:
    return infer_contract(item_bytes=4 * int(np.prod(shape)) + 8 + 64).model_copy(
        update={
            "lane": Lane.PERCEPTUAL,
            "outputs": (
                TensorSpec(name="score", dtype="float64", shape=(1,)),
                TensorSpec(name="image", dtype="float32", shape=shape),
            ),
        }
    )


@pytest.mark.parametrize("shape", [(3, 48, 64), (48, 64, 3)])
def test_pictures_of_a_model_are_found_and_compared(shape: tuple[int, ...]) -> None:
    """Channels first or last, on the scale of what was recomputed; rounding to half precision passes."""
    contract, tile = generator(shape), InferTile(first=7, count=2)
    assert item_picture(contract) == (8, shape)
    base = scene()[1:, 20:68, 20:84] * 200 - 30
    picture = base if shape[0] == 3 else np.moveaxis(base, 0, -1)

    def cells(values: np.ndarray) -> dict[int, bytes]:
        one = bytes(8) + np.ascontiguousarray(values, "<f4").tobytes() + bytes(64)
        return {0: one, 1: one}

    half = picture.astype(np.float16).astype(np.float32)
    assert compare_pictures(contract, tile, cells(half), cells(picture)).verdict is Verdict.ACCEPT
    wrong = compare_pictures(contract, tile, cells(np.flip(picture, 1)), cells(picture))
    assert wrong.verdict is not Verdict.ACCEPT
    assert wrong.evidence["worst"]["item"] in (7, 8)


def test_a_model_without_a_picture_is_not_compared_by_look() -> None:
    contract, tile = infer_contract(), InferTile(first=0, count=1)
    assert item_picture(contract) is None
    with pytest.raises(ValueError, match="no picture"):
        compare_pictures(contract, tile, {0: bytes(104)}, {0: bytes(103) + b"1"})
