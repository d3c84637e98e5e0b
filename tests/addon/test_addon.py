"""The Blender add-on as people get it: the zip, installed from disk into a Blender, used against a running stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from PIL import Image

from coordinator.cli.addon import build
from coordinator.stack import LocalStack, temporary_stack

_HERE = Path(__file__).parent
_BLENDERS = {"4.5": ("3.11", "4.5.*"), "5.2": (f"{sys.version_info[0]}.{sys.version_info[1]}", None)}
"""By version: the Python it needs, and what to install; None: the one that is here."""


def test_the_zip_is_what_blender_calls_valid(tmp_path: Path) -> None:
    """Blender's own checker accepts it, nothing in it but the add-on, and twice built it is the same bytes."""
    first, again = build(tmp_path / "a"), build(tmp_path / "b")
    assert first.read_bytes() == again.read_bytes()
    checker = Path(bpy.utils.system_resource("SCRIPTS")) / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    done = subprocess.run([sys.executable, str(checker), "validate", str(first)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    names = zipfile.ZipFile(first).namelist()
    assert {"__init__.py", "blender_manifest.toml"} < set(names) and all("/" not in name for name in names)


def test_it_needs_nothing_but_the_standard_library_and_blender() -> None:
    """No module of the add-on imports anything else, kilnet's own packages least of all."""
    import ast

    import jobs

    folder = Path(next(iter(jobs.__path__))) / "blender_addon"
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                root = name.partition(".")[0]
                assert root == "bpy" or root in sys.stdlib_module_names, f"{path.name} imports {name}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    data = tmp_path_factory.mktemp("addon") / "data"
    with temporary_stack(nodes=2, data=data, unsandboxed=shutil.which("bwrap") is None) as running:
        yield running


def _python_with(version: str, config: pytest.Config) -> Path:
    """An interpreter that has this Blender. It is installed once, into pytest's cache; where that cannot be done the
    test is skipped, and says why."""
    python, wanted = _BLENDERS[version]
    if wanted is None:
        return Path(sys.executable)
    home = config.cache.mkdir(f"bpy-{version}")  # type: ignore[union-attr]
    own = home / "bin" / "python"
    ready = home / "ready"
    if ready.exists():
        return own
    found = shutil.which(f"python{python}")
    if found is None or subprocess.run([found, "--version"], capture_output=True).returncode != 0:
        pytest.skip(f"Blender {version} needs Python {python}, and there is no python{python} on PATH")
    for command in ([found, "-m", "venv", home], [own, "-m", "pip", "install", "--quiet", f"bpy=={wanted}"]):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            pytest.skip(f"Blender {version} could not be installed: {done.stderr.strip().splitlines()[-1:]}")
    ready.touch()
    return own


def _drive(python: Path, folder: Path, stack: LocalStack) -> dict[str, Any]:
    program = Path(sys.executable).parent / "kilnet"
    given = {
        "folder": str(folder / "work"), "zip": str(build(folder)), "program": str(program),
        "gateway": stack.gateway_url, "key": str(stack.key_file),
    }  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KILNET"))}
    done = subprocess.run(
        [str(python), str(_HERE / "drive.py"), json.dumps(given)], capture_output=True, text=True, timeout=1200,
        env=environment | {"BLENDER_USER_RESOURCES": str(folder / "user")},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    seen: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    assert done.returncode == 0, f"{seen.get('error', '')}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return seen


@pytest.mark.stack
@pytest.mark.blender
@pytest.mark.slow
@pytest.mark.timeout(2000)
@pytest.mark.parametrize("version", list(_BLENDERS))
def test_an_artists_way_through_it(
    version: str, stack: LocalStack, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Installed from the zip: check, quote, order, live pictures, the result, another job left and found again,
    changed, paused and cancelled; and Blender is never held up."""
    seen = _drive(_python_with(version, request.config), tmp_path, stack)
    assert ".".join(map(str, seen["blender"][:2])) == version and seen["gone"]
    assert seen["about"]["account"].startswith("0x") and int(seen["about"]["balance"]) > 0
    assert "no camera" in seen["no_camera"] and "gone.png is missing" in seen["missing"]
    assert float(seen["quote"]["price_usd"]) > 0 and seen["saved_file_untouched"]
    if version != "5.2":
        assert any("Saved by Blender 4.5" in note for note in seen["notes"]), seen["notes"]
    # The whole result, checked file by file, and shown in Blender.
    assert seen["report"]["state"] == "done" and seen["report"]["tiles_passed"] == seen["report"]["tiles"] > 1
    assert seen["files"] and all(one["bytes"] == one["sha256"] for one in seen["files"])
    assert seen["left_behind"] == ["shot one.blend", "shot one.blend1"]
    assert seen["result"][:2] == [[128, 96], "FILE"] and seen["sequence"] == ["SEQUENCE", 2]
    assert seen["reviewed"] == [seen["preview_tiles"]] and seen["preview_tiles"] >= 1
    assert seen["steer_when_done"] is False
    # The picture filled in: more of it is covered each time, some of it before all was there.
    covered = [share for frame, size, share in seen["pictures"] if frame == 1 and size == [128, 96]]
    assert covered == sorted(covered) and covered[-1] == pytest.approx(1) and covered[0] < 1, covered
    assert {0.0, 1.0} < set(seen["progress"]) and any("MB" in step for step in seen["steps"])
    assert seen["left"] and seen["asked"] == ["pause", "cancel"] and seen["ended"][0] == "cancelled"
    assert seen["change"][0] == 7 and float(seen["change"][1]) == pytest.approx(seen["changed"], rel=1e-3)
    assert "Priority 7, at most" in seen["change"][2] and "in escrow" in seen["change"][2]
    assert "escrow" in seen["too_much"] and seen["unchanged"] == ["CANCELLED"]
    # What Blender's main thread waited for at most: loading a picture.
    assert seen["longest"] < 0.5
    _is_what_blender_had(Path(seen["result"][2]))


def _is_what_blender_had(picture: Path) -> None:
    """The monkey with its texture, turned as it was in Blender though not in the saved file: lopsided, two colours."""
    pixels = np.asarray(Image.open(picture).convert("RGB"), np.float32)
    lit = pixels.sum(axis=2) > 30
    left, right = lit[:, : lit.shape[1] // 2], lit[:, lit.shape[1] // 2 :]
    assert 0.1 < lit.mean() < 0.8 and abs(left.mean() - right[:, ::-1].mean()) > 0.01
    reddish, bluish = (pixels[..., 0] > pixels[..., 2] * 1.3) & lit, (pixels[..., 2] > pixels[..., 0] * 1.3) & lit
    assert reddish.mean() > 0.02 and bluish.mean() > 0.02
