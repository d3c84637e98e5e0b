"""What can be known to be wrong on the client's machine: the real program ends with 2 and one line that says what to
do, starts nothing and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coordinator.cli.main import run_command as ending_of_command
from tests.unit.test_inputs import items, model
from tests.unit.test_packing import build, small_blend

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The program in an empty folder, with a home and temporary files of its own and no stack to find."""
    for name in ("work", "home", "tmp"):
        (tmp_path / name).mkdir()

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path / "tmp"),
            "KILNET_DATA": str(tmp_path / "data"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "300",
        }
        return subprocess.run(
            [sys.executable, "-m", "coordinator.cli.main", *map(str, arguments)],
            cwd=tmp_path / "work", env=environment, capture_output=True, text=True, timeout=120,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return call


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def check_clear(done: subprocess.CompletedProcess[str], told: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that holds `told` and no trace."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("kilnet: ") and told in lines[0], done.stderr


SCENES: list[tuple[str, bytes | None, str]] = [
    ("no such file", None, "no such file"),
    ("not a .blend", b"this is no scene", "is not a .blend"),
    ("empty", b"", "is not a .blend"),
    ("truncated", small_blend(new=True)[:-20], "is cut short"),
    ("truncated gzip", gzip.compress(small_blend(new=False))[:-12], "is cut short"),
]


@pytest.mark.parametrize(("name", "data", "told"), SCENES, ids=[name for name, _, _ in SCENES])
def test_a_scene_that_is_none(run: Run, tmp_path: Path, name: str, data: bytes | None, told: str) -> None:
    """Before a Blender or a stack is started."""
    scene = tmp_path / "work" / "scene.blend"
    if data is not None:
        scene.write_bytes(data)
    before = tree(tmp_path)
    check_clear(run("quote" if name == "truncated" else "render", "scene.blend"), told)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--frames", "", "--frames"),
        ("--frames", "9-1", "holds no frame"),
        ("--frames", "1-9999999", "more than"),
        ("--resolution", "0x0", "too small"),
        ("--resolution", "100000x100000", "too large"),
        ("--resolution", "wide", "1920x1080"),
        ("--samples", "0", "--samples"),
        ("--samples", "many", "--samples"),
        ("--max-price", "0", "positive amount"),
        ("--max-price", "nan", "positive amount"),
        ("--deadline", "soon", "12h"),
        ("--deadline", "1s", "--deadline"),
        ("--engine", "LUXRENDER", "--engine"),
        ("--format", "GIF", "--format"),
        ("--sample-ranges", "0", "--sample-ranges"),
        ("--gateway", "http://127.0.0.1:1", "needs a key"),
        ("--frobnicate", "1", "--frobnicate"),
        ("--region", "e u", "--region: 'e u' is no region"),
        ("--not-region", "-", "--not-region: '-' is no region"),
        ("--device", "toaster", "there are CPU, GPU"),
        ("--min-memory", "0", "--min-memory"),
        ("--min-vram", "-1", "--min-vram"),
        ("--min-reputation", "1.5", "--min-reputation"),
        ("--owner", "me", "--owner 'me': is no address"),
    ],
)
def test_an_option_that_cannot_be(option: str, value: str, told: str) -> None:
    """Each option is checked before anything is read (the scene is not there), and the line names it."""
    ending = ending_of_command(["render", "no-such-scene.blend", option, value])
    assert ending.code == 2 and told in ending.line and "\n" not in ending.line


def test_an_impossible_size_from_outside(run: Run, tmp_path: Path) -> None:
    """The same through the real program: exit code, one line, nothing left."""
    before = tree(tmp_path)
    check_clear(run("render", "scene.blend", "--resolution", "100000x100000"), "too large")
    check_clear(run("render", "scene.blend", "--frames", "zero"), "--frames")
    assert tree(tmp_path) == before


def test_out_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """--out that is a file is told at once, not when the frames are there."""
    (tmp_path / "work" / "scene.blend").write_bytes(small_blend(new=True))
    (tmp_path / "work" / "taken").write_text("mine")
    check_clear(run("render", "scene.blend", "--out", "taken"), "name a folder")
    assert (tmp_path / "work" / "taken").read_text() == "mine"


@pytest.mark.blender
def test_a_missing_texture_is_named(run: Run, tmp_path: Path) -> None:
    """The texture and the material that uses it are in the line; no temporary file of Blender stays."""
    scene = build(tmp_path / "made", "missing")
    before = tree(tmp_path)
    check_clear(run("render", scene), "gone away.png (image, used by broken material)")
    assert tree(tmp_path) == before


@pytest.mark.blender
def test_a_scene_that_blender_cannot_open(run: Run, tmp_path: Path) -> None:
    """A file whose blocks look whole and that Blender refuses ends in Blender's own reason."""
    (tmp_path / "work" / "scene.blend").write_bytes(small_blend(new=True))
    before = tree(tmp_path)
    check_clear(run("render", "scene.blend"), "Blender")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken model", "is not an ONNX model"),
        ("outside weights", "only files beside the model"),
        ("wrong name", "lacks the model's input 'x'"),
        ("wrong dtype", "'x' is float64, the model takes float32"),
        ("wrong shape", "'x' holds items of [3, 7, 8]"),
        ("nan", "'x' holds NaN, first in item 1"),
        ("zero items", "zero items"),
        ("empty folder", "holds no images"),
    ],
)
def test_a_batch_that_does_not_fit(run: Run, tmp_path: Path, name: str, told: str) -> None:
    """Told which, before a stack is started."""
    from tests.unit.test_inputs import bad

    path, given = bad(tmp_path / "work", name)
    before = tree(tmp_path)
    check_clear(run("infer", path, given), told)
    assert tree(tmp_path) == before


def test_json_is_one_object_also_for_errors(run: Run, tmp_path: Path) -> None:
    """With --json stdout is one JSON object even where nothing was done, and stderr the same line."""
    done = run("render", "scene.blend", "--json")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "bad_input" and error["message"] in done.stderr


def test_an_unexpected_fault_is_one_line_and_a_log(run: Run, tmp_path: Path) -> None:
    """A fault of the program itself shows no trace: one line names the log that holds it."""
    np.save(tmp_path / "work" / "x.npy", items(1))
    path = model(tmp_path / "work" / "m.onnx")
    program = (
        "import coordinator.cli.main as main, coordinator.cli.intake as intake\n"
        "def broken(*_, **__): raise RuntimeError('boom')\n"
        "intake.infer_submission = broken\n"
        f"main.run(['infer', {str(path)!r}, 'x.npy'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "work", capture_output=True, text=True, timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 70 and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    log = Path(line.rpartition(" ")[2])
    assert "boom" in line and "Traceback" in log.read_text()
