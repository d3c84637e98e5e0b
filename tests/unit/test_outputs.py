"""Predictions in other forms: what goes in comes out, in order and by name, whatever the form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.client import Delivered
from jobs.client.outcome import written
from jobs.errors import BadInput
from jobs.inputs import prepare_batch
from jobs.inputs.files import read_table
from jobs.outputs import Format, convert
from jobs.outputs.images import file_names
from tests.unit.test_inputs import items, model, read_back

pytest.importorskip("pyarrow")

TABLES = [Format.PARQUET, Format.ARROW, Format.FEATHER]


def predictions(folder: Path, **arrays: Any) -> Path:
    folder.mkdir(exist_ok=True)
    np.savez(folder / "predictions.npz", **arrays)
    return folder / "predictions.npz"


@pytest.mark.parametrize("wanted", TABLES)
def test_tables_hold_every_axis_and_the_names(tmp_path: Path, wanted: Format) -> None:
    """Outputs of any shape and dtype are columns; names are a column beside them; nothing else is left behind."""
    rng = np.random.default_rng(2)
    arrays = {
        "y": rng.standard_normal((7, 3, 4)).astype(np.float32), "label": np.arange(7, dtype=np.int64),
        "flag": rng.integers(0, 2, (7, 2)).astype(np.uint8),
    }  # fmt: skip
    names = [f"shot_{number}.png" for number in range(7)]
    [made] = convert(predictions(tmp_path, **arrays), wanted, names)
    assert made.name == f"predictions.{wanted}"
    table = read_table(made)
    assert table.names == tuple(names) and list(table.arrays) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(table.arrays[name], array)
        assert table.arrays[name].dtype == array.dtype
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["predictions.npz", made.name])


def test_a_table_is_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that does not fit into memory is written row group by row group; the rows are the same."""
    monkeypatch.setattr("jobs.outputs.tables._ROWS_BYTES", 200)
    array = np.arange(1000, dtype=np.float32).reshape(100, 10)
    for wanted in TABLES:
        [made] = convert(predictions(tmp_path, y=array), wanted)
        np.testing.assert_array_equal(read_table(made).arrays["y"], array)


@pytest.mark.parametrize("suffix", ["npz", "parquet", "arrow", "feather"])
def test_what_was_written_goes_in_again(tmp_path: Path, suffix: str) -> None:
    """A file of each kind is a batch: the same items in the same order, with their names."""
    x, names = items(5), [f"item {number}" for number in range(5)]
    if suffix == "npz":
        np.savez(tmp_path / "predictions.npz", x=x, name=np.array(names))
        file = tmp_path / "predictions.npz"
    else:
        [file] = convert(predictions(tmp_path, x=x), Format(suffix), names)
    with prepare_batch(model(tmp_path / "m.onnx"), file) as batch:
        np.testing.assert_array_equal(read_back(batch.sources), x)
        assert batch.names == tuple(names) and "items.json" in batch.sources


def test_pictures_keep_names_and_order(tmp_path: Path) -> None:
    """A PNG for each item, called as its input was; every layout; what is no picture is left out."""
    alpha = np.linspace(0, 1, 3 * 4 * 6, dtype=np.float32).reshape(3, 1, 4, 6)
    colour = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3)).astype(np.uint8)
    file = predictions(tmp_path, alpha=alpha, colour=colour, score=np.zeros((3, 5), np.float32))
    names = ["beauty_0001.exr", "beauty_0002.exr", "beauty_0010.exr"]
    folders = convert(file, Format.IMAGES, names)
    assert [folder.name for folder in folders] == ["alpha", "colour"]
    for number, stem in enumerate(("beauty_0001", "beauty_0002", "beauty_0010")):
        grey = np.asarray(Image.open(tmp_path / "alpha" / f"{stem}.png"))
        np.testing.assert_array_equal(grey, np.rint(alpha[number, 0] * 255).astype(np.uint8))
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "colour" / f"{stem}.png")), colour[number])
    # Again: the folders are replaced, nothing is added to what was there.
    convert(file, Format.IMAGES, None)
    assert sorted(path.name for path in (tmp_path / "alpha").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alpha", "colour", "predictions.npz"]


def test_names_stay_in_their_folder(tmp_path: Path) -> None:
    """Names come from tables of anybody's making: none leaves the folder, none is lost, none replaces another."""
    hostile = ["../../etc/passwd", "/abs", "a/b", "..", "", "con", "x" * 500, "a.png", "a.jpg", "A.png"]
    safe = file_names(hostile, len(hostile))
    assert len({name.lower() for name in safe}) == len(hostile)
    assert all("/" not in name and name not in (".png", "..png") and len(name) < 200 for name in safe)
    assert file_names(["b.png", "a.png"], 2) == ["b.png", "a.png"]


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """No picture among the outputs, or names that do not fit: one line that says so."""
    file = predictions(tmp_path, score=np.zeros((3, 5), np.float32))
    with pytest.raises(BadInput, match=r"no output is a picture \('score' has items of \[5\]\)"):
        convert(file, Format.IMAGES)
    with pytest.raises(BadInput, match="there are 2 names"):
        convert(file, Format.PARQUET, ["a", "b"])


def test_where_the_names_cannot_be_written_is_told(tmp_path: Path) -> None:
    """What was delivered stays, and the line names the file that is in the way."""
    path = predictions(tmp_path, y=np.zeros((2, 3), np.float32))
    (tmp_path / "items.json").mkdir()
    delivered = [Delivered(path=path, sha256="", kind="predictions", frame=None)]
    with pytest.raises(BadInput, match=r"items\.json: cannot be written"):
        written(delivered, tmp_path, ("a", "b"), Format.NPZ)
    assert path.exists()
