"""A batch is checked against the model before anything is sent, and the message names what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.errors import BadInput
from jobs.model_inputs import ImagePreprocess, InputSpec, load_inputs, signature_from_json

ONE = (InputSpec("x", "float32", (3, None)),)
TWO = (InputSpec("ids", "int64", (4,)), InputSpec("mask", "int64", (4,)))


def problem(path: Path, signature: tuple[InputSpec, ...], code: str, images: ImagePreprocess | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        load_inputs(path, signature, images=images)
    assert caught.value.code == code, caught.value
    return str(caught.value)


def npz(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "batch.npz", **arrays)
    return folder / "batch.npz"


def test_arrays_arrive_in_order_and_dtype(tmp_path: Path) -> None:
    path = npz(tmp_path, mask=np.ones((5, 4), np.int8), ids=np.arange(20).reshape(5, 4))
    arrays = load_inputs(path, TWO)
    assert list(arrays) == ["ids", "mask"]
    assert arrays["mask"].dtype == np.int64
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 7), np.float16))
    assert load_inputs(tmp_path / "x.npy", ONE)["x"].dtype == np.float32
    assert load_inputs(npz(tmp_path, whatever=np.zeros((2, 3, 7), np.float32)), ONE)["x"].shape == (2, 3, 7)


def test_each_misfit_is_named(tmp_path: Path) -> None:
    good = np.zeros((5, 4), np.int64)
    assert "'mask' is missing" in problem(npz(tmp_path, ids=good), TWO, "inputs_names")
    assert "no input 'more'" in problem(npz(tmp_path, ids=good, mask=good, more=good), TWO, "inputs_names")
    assert "equally many" in problem(npz(tmp_path, ids=good, mask=good[:3]), TWO, "inputs_shape")
    assert "[5, 3], the model takes [items, 4]" in problem(
        npz(tmp_path, ids=good, mask=good[:, :3]), TWO, "inputs_shape"
    )
    assert ".astype('int64')" in problem(npz(tmp_path, ids=good, mask=good * 1.0), TWO, "inputs_dtype")
    assert "[items, 3, any]" in problem(npz(tmp_path, x=np.zeros((3, 7), np.float32)), ONE, "inputs_shape")
    bad = np.zeros((9, 3, 2), np.float32)
    bad[6, 1, 1] = np.nan
    assert "first in item 6" in problem(npz(tmp_path, x=bad), ONE, "inputs_not_finite")
    problem(npz(tmp_path, x=bad[:0]), ONE, "inputs_empty")


def test_files_that_are_not_what_they_say(tmp_path: Path) -> None:
    problem(tmp_path / "none.npz", ONE, "inputs_missing")
    for name in ("a.npz", "a.npy"):
        (tmp_path / name).write_bytes(b"junk")
        problem(tmp_path / name, ONE, "inputs_unreadable")
    (tmp_path / "a.csv").write_text("1,2")
    problem(tmp_path / "a.csv", ONE, "inputs_format")
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    problem(tmp_path / "pickled.npy", ONE, "inputs_unreadable")
    np.save(tmp_path / "x.npy", np.zeros((2, 4), np.int64))
    problem(tmp_path / "x.npy", TWO, "inputs_names")


def test_a_folder_of_images_becomes_numbers(tmp_path: Path) -> None:
    how = ImagePreprocess(width=8, height=4, colour="BGR", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    signature = (InputSpec("x", "float32", (3, 4, 8)),)
    problem(tmp_path, signature, "inputs_empty", how)
    for name, colour in (("b.png", (255, 0, 0)), ("a.png", (0, 0, 255))):
        Image.new("RGB", (16, 8), colour).save(tmp_path / name)
    array = load_inputs(tmp_path, signature, images=how)["x"]
    assert array.shape == (2, 3, 4, 8)
    assert array[:, :, 0, 0].tolist() == [
        [1, -1, -1],
        [-1, -1, 1],
    ]  # a is blue and first; channels are blue, green, red
    problem(tmp_path, signature, "inputs_format")
    narrow = ImagePreprocess(width=32, height=4, layout="NHWC", keep_aspect=True)
    padded = load_inputs(tmp_path, (InputSpec("x", "float32", (4, 32, 3)),), images=narrow)["x"]
    assert padded[0, 0, :8, 2].tolist() == [1] * 8
    assert not padded[0, 0, 8:].any()
    (tmp_path / "c.png").write_bytes(b"junk")
    assert "c.png" in problem(tmp_path, signature, "inputs_unreadable", how)


def test_the_signature_is_what_describe_answers() -> None:
    described = [{"name": "x", "dtype": "float32", "shape": [3, None], "batch": None}]
    assert signature_from_json(described) == ONE
