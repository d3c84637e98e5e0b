"""What a frame looks like so far: the noise of a picture is measured, whatever it shows."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.web.pictures import noise_of


@pytest.mark.parametrize("sigma", [0.002, 0.01, 0.05])
def test_noise_is_found_beside_edges_and_gradients(sigma: float) -> None:
    """A gradient with hard edges and grain of a known deviation: it is found within a tenth, and halves with four times
    the samples."""
    rng = np.random.default_rng(4)
    height, width = 180, 320
    plane = np.linspace(0.2, 0.5, width)[None, :].repeat(height, 0)
    plane[:, ::40] += 0.3
    plane[60:120, 100:200] += 0.2
    covered = np.ones((height, width), bool)
    found = []
    for samples in (1, 4):
        grain = rng.normal(0, sigma / np.sqrt(samples), (height, width))
        found.append(noise_of((plane + grain)[..., None].repeat(3, 2), covered))
    assert found[0] == pytest.approx(sigma, rel=0.1) and found[1] == pytest.approx(sigma / 2, rel=0.15)


def test_what_is_not_there_is_not_noise() -> None:
    """Pixels that nobody has rendered yet, and an empty background, say nothing; nor does too little of a picture."""
    rng = np.random.default_rng(5)
    picture = np.zeros((256, 256, 3))
    picture[:128, :128] = 0.4 + rng.normal(0, 0.02, (128, 128))[..., None]
    covered = np.zeros((256, 256), bool)
    covered[:192] = True
    assert noise_of(picture, covered) == pytest.approx(0.02, rel=0.15)
    assert noise_of(picture, np.zeros((256, 256), bool)) is None and noise_of(picture[:4, :4], covered[:4, :4]) is None
