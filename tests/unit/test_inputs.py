"""Inputs against a model: what fits is sharded without loss, what does not is refused with its name."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import jobs.inputs.prepare
from jobs.errors import BadInput
from jobs.inputs import prepare_batch

onnx = pytest.importorskip("onnx")

SHAPE = (3, 8, 8)


def model(path: Path, *, channels_last: bool = False, second: bool = False) -> Path:
    """y = Flatten(x) W, one or two inputs."""
    from onnx import TensorProto, helper, numpy_helper

    shape = ["N", 8, 8, 3] if channels_last else ["N", *SHAPE]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "W"], ["y"])]
    if second:
        inputs.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, ["N", 1]))
        nodes[1] = helper.make_node("MatMul", ["f", "W"], ["z"])
        nodes.append(helper.make_node("Mul", ["z", "scale"], ["y"]))
    weights = numpy_helper.from_array(np.ones((192, 5), np.float32), "W")
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])
    graph = helper.make_graph(nodes, "g", inputs, [output], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def items(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, *SHAPE)).astype(np.float32)


def load_shard(path: Path, name: str = "x") -> np.ndarray:
    data = path.read_bytes()
    return np.load(io.BytesIO(zstandard.decompress(data) if path.suffix == ".zst" else data))[name]


def read_back(sources: dict[str, Path], name: str = "x") -> np.ndarray:
    return np.concatenate([load_shard(sources[path], name) for path in sorted(sources) if path.startswith("inputs/")])


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 40), shard_bytes=st.integers(1, 20_000))
def test_shards_hold_the_batch_in_order(tmp_path_factory: pytest.TempPathFactory, count: int, shard_bytes: int) -> None:
    """However large a shard may be, the shards one after the other are the batch, and all but the last are full."""
    folder = tmp_path_factory.mktemp("batch")
    np.save(folder / "x.npy", items(count))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs.inputs.prepare, "SHARD_BYTES", shard_bytes)
        with prepare_batch(model(folder / "m.onnx"), folder / "x.npy") as batch:
            np.testing.assert_array_equal(read_back(batch.sources), items(count))
            sizes = [len(load_shard(path)) for name, path in sorted(batch.sources.items()) if "inputs/" in name]
            assert batch.items == count and all(size == batch.shard_items for size in sizes[:-1])
            assert 0 < sizes[-1] <= batch.shard_items


def test_the_same_items_make_the_same_files(tmp_path: Path) -> None:
    """A batch that is submitted twice is uploaded once: its manifest depends on its content alone."""
    np.savez(tmp_path / "a.npz", x=items(4))
    np.savez_compressed(tmp_path / "b.npz", x=items(4))
    path = model(tmp_path / "m.onnx")
    with prepare_batch(path, tmp_path / "a.npz") as one, prepare_batch(path, tmp_path / "b.npz") as two:
        assert one.manifest == two.manifest


def test_what_gets_shorter_by_compression_is_sent_so(tmp_path: Path) -> None:
    """Pictures as float32 hold 256 different values and shrink; noise does not and goes as it is."""
    path = model(tmp_path / "m.onnx")
    ramps = np.random.default_rng(0).integers(0, 200, (64, 3, 8, 1)) + np.arange(8) // 2
    pictures = (ramps / 255).astype(np.float32)
    np.save(tmp_path / "pictures.npy", pictures)
    np.save(tmp_path / "noise.npy", items(64))
    with prepare_batch(path, tmp_path / "pictures.npy") as batch:
        assert batch.sources["inputs/00000.npz.zst"].stat().st_size < pictures.nbytes / 2
        np.testing.assert_array_equal(read_back(batch.sources), pictures)
    with prepare_batch(path, tmp_path / "noise.npy") as batch:
        assert batch.sources["inputs/00000.npz"].stat().st_size > pictures.nbytes


@pytest.mark.parametrize("array", [items(5), items(5).T.copy().T, np.zeros((5, *SHAPE), ">f4")])
def test_an_archive_is_read_as_numpy_would(tmp_path: Path, array: np.ndarray) -> None:
    """Mapped or not, C or Fortran order, either byte order."""
    np.savez(tmp_path / "x.npz", x=array)
    with prepare_batch(model(tmp_path / "m.onnx"), tmp_path / "x.npz") as batch:
        np.testing.assert_array_equal(read_back(batch.sources), array)


def test_a_spoiled_archive_is_named(tmp_path: Path) -> None:
    """One flipped bit in an array is seen by its checksum."""
    np.savez(tmp_path / "x.npz", x=items(5))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        middle = archive.infolist()[0].header_offset + archive.infolist()[0].file_size // 2
    data[middle] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(BadInput, match=r"x\.npz: cannot be read \(the checksum of 'x' is wrong\)"):
        prepare_batch(model(tmp_path / "m.onnx"), tmp_path / "x.npz").__enter__()


def test_an_output_that_the_model_does_not_have_is_named(tmp_path: Path) -> None:
    """With those that it has."""
    np.save(tmp_path / "x.npy", items(2))
    with pytest.raises(BadInput, match=r"m\.onnx: has no output 'logits'; choose of 'y'"):
        prepare_batch(model(tmp_path / "m.onnx"), tmp_path / "x.npy", outputs=["logits"]).__enter__()


def test_external_weights_travel_with_the_model(tmp_path: Path) -> None:
    """Weights in a file beside the model are in the manifest, at the same place relative to it."""
    path = model(tmp_path / "m.onnx")
    onnx.save(
        onnx.load(path), tmp_path / "e.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    np.save(tmp_path / "x.npy", items(2))
    with prepare_batch(tmp_path / "e.onnx", tmp_path / "x.npy") as batch:
        assert batch.manifest.main == "model/e.onnx"
        assert {"model/e.onnx", "model/weights.bin", "inputs/00000.npz"} == set(batch.sources)


def bad(folder: Path, name: str) -> tuple[Path, Path]:
    """A model and inputs that do not go together in the way `name` says."""
    path, given = model(folder / "m.onnx"), folder / f"{name}.npz"
    arrays: dict[str, np.ndarray] = {"x": items(3)}
    match name:
        case "wrong name":
            arrays = {"z": items(3)}
        case "one too many":
            arrays["extra"] = items(3)
        case "wrong dtype":
            arrays = {"x": items(3).astype(np.float64)}
        case "wrong shape":
            arrays = {"x": items(3)[:, :, :7]}
        case "nan":
            arrays["x"][1, 2, 3, 4] = np.nan
        case "zero items":
            arrays = {"x": items(0)}
        case "objects":
            arrays = {"x": np.array([{}, 1], dtype=object)}
        case "counts differ":
            path = model(folder / "m.onnx", second=True)
            arrays["scale"] = np.ones((2, 1), np.float32)
        case "one array for two":
            path, given = model(folder / "m.onnx", second=True), folder / "x.npy"
        case "empty folder":
            given = folder / "empty"
            given.mkdir()
        case "no such inputs":
            return path, folder / "nothing.npz"
        case "broken inputs":
            given.write_bytes(b"PK\x03\x04 no zip")
            return path, given
        case "unknown kind":
            given = folder / "x.csv"
            given.write_text("1,2")
            return path, given
        case "broken model":
            path.write_bytes(b"no model" * 100)
        case "empty model":
            path.write_bytes(b"")
        case "no such model":
            path = folder / "nothing.onnx"
        case "outside weights":
            (folder / "sub").mkdir()
            loaded = onnx.load(path)
            weights = loaded.graph.initializer[0]
            (folder / "w.bin").write_bytes(weights.raw_data)
            weights.ClearField("raw_data")
            weights.data_location = onnx.TensorProto.EXTERNAL
            entry = weights.external_data.add()
            entry.key, entry.value = "location", "../w.bin"
            path = folder / "sub" / "m.onnx"
            path.write_bytes(loaded.SerializeToString())
    if given.suffix == ".npz":
        np.savez(given, **arrays)
    elif given.suffix == ".npy":
        np.save(given, arrays["x"])
    return path, given


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wrong name", r"lacks the model's input 'x', and holds 'z'; add it"),
        ("one too many", r"'extra' is no input"),
        ("wrong dtype", r"'x' is float64, the model takes float32"),
        ("wrong shape", r"'x' holds items of \[3, 7, 8\], the model takes float32 items of \[3, 8, 8\]"),
        ("nan", r"'x' holds NaN, first in item 1"),
        ("zero items", r"zero items"),
        ("objects", r"Python objects"),
        ("counts differ", r"'x' has 3, 'scale' has 2"),
        ("one array for two", r"2 inputs \('x', 'scale'\)"),
        ("empty folder", r"holds no images"),
        ("no such inputs", r"no such file"),
        ("broken inputs", r"cannot be read"),
        ("unknown kind", r"\.npz, \.npy, \.parquet, \.arrow or \.feather"),
        ("broken model", r"m\.onnx is not an ONNX model"),
        ("empty model", r"is empty"),
        ("no such model", r"no such file"),
        ("outside weights", r"external data of 'W'"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, name: str, told: str) -> None:
    """Each fault is one line that names the input or file; nothing is written."""
    path, given = bad(tmp_path, name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=told) as error, prepare_batch(path, given):
        pytest.fail("it was prepared")
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("channels_last", [False, True])
def test_images_keep_order_and_names(tmp_path: Path, channels_last: bool) -> None:
    """Pictures come in the order a person counts (f2 before f10), as 0..1, in the model's layout, with their names."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (10, 2, 1):
        Image.new("RGB", (8, 8), (number, 0, 255)).save(folder / f"f{number}.png")
    (folder / "notes.txt").write_text("no picture")
    with prepare_batch(model(tmp_path / "m.onnx", channels_last=channels_last), folder) as batch:
        x = read_back(batch.sources)
        red, blue = (x[:, 0, 0, 0], x[:, 0, 0, 2]) if channels_last else (x[:, 0, 0, 0], x[:, 2, 0, 0])
        np.testing.assert_allclose(red, np.array([1, 2, 10], np.float32) / 255, rtol=1e-6)
        np.testing.assert_array_equal(blue, np.ones(3, np.float32))
        assert batch.names == ("f1.png", "f2.png", "f10.png")
        assert json.loads(batch.sources["items.json"].read_text())["names"] == list(batch.names)


def test_images_of_another_size(tmp_path: Path) -> None:
    """A picture that has not the model's size is named; with `resize` it is scaled."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    Image.new("L", (16, 4), 255).save(folder / "b.png")
    path = model(tmp_path / "m.onnx")
    with pytest.raises(BadInput, match=r"b\.png: is 16x4 pixels, the model takes 8x8"), prepare_batch(path, folder):
        pytest.fail("it was prepared")
    with prepare_batch(path, folder, size=(8, 8)) as batch:
        np.testing.assert_array_equal(read_back(batch.sources)[1], np.ones(SHAPE, np.float32))
    with (
        pytest.raises(BadInput, match="size 9x8: the model takes 8x8 pixels"),
        prepare_batch(path, folder, size=(9, 8)),
    ):
        pass
    with prepare_batch(path, folder, resize=True) as batch:
        np.testing.assert_array_equal(read_back(batch.sources)[1], np.ones(SHAPE, np.float32))


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    """A file with a picture's name that is none is told, not guessed."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    path = model(tmp_path / "m.onnx")
    with pytest.raises(BadInput, match=r"a\.png: is no image"), prepare_batch(path, folder):
        pytest.fail("it was prepared")


def test_parquet_columns_are_inputs(tmp_path: Path) -> None:
    """Nested lists become arrays; a column with an empty cell or uneven lists is named."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    path = model(tmp_path / "m.onnx")
    kind = pyarrow.list_(pyarrow.list_(pyarrow.list_(pyarrow.float32())))
    rows = items(3).tolist()
    for name, values, told in (
        ("ok", rows, ""),
        ("null", [*rows, None], "1 empty cells"),
        ("uneven", [*rows, rows[0][:2]], "differ in length"),
    ):
        table = pyarrow.table({"x": pyarrow.array(values, type=kind)})
        parquet.write_table(table, tmp_path / f"{name}.parquet")
        if told:
            with pytest.raises(BadInput, match=told), prepare_batch(path, tmp_path / f"{name}.parquet"):
                pytest.fail("it was prepared")
        else:
            with prepare_batch(path, tmp_path / f"{name}.parquet") as batch:
                np.testing.assert_array_equal(read_back(batch.sources), items(3))
