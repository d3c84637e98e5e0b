"""Packing: what a .blend is, and that a packed scene finds everything where it looks for it."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import BadInput
from jobs.packing import PackedScene, check_blend, pack_scene

SCENES = Path(os.environ.get("KILNET_SCENES", Path(__file__).parents[3] / "shared" / "scenes"))
real_scenes = pytest.mark.skipif(not SCENES.is_dir(), reason=f"no folder of real scenes at {SCENES}")


def small_blend(*, new: bool, blocks: int = 3) -> bytes:
    """The headers of a .blend of either kind, with blocks of a few bytes."""
    out = b"BLENDER17-01v0502" if new else b"BLENDER-v293"
    for number in range(blocks):
        body = bytes(number * 7)
        fields = (0, 1, len(body), 1) if new else (len(body), 1, 0, 1)
        out += struct.pack("<4siQqq" if new else "<4siQii", b"DATA", *fields) + body
    return out + struct.pack("<4siQqq" if new else "<4siQii", b"ENDB", 0, 0, 0, 0)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize(("new", "version"), [(False, (2, 93)), (True, (5, 2))])
def test_check_blend_reads_both_headers(tmp_path: Path, compress: object, new: bool, version: tuple[int, int]) -> None:
    """Old and new headers, plain or compressed, tell the version of the Blender that saved them."""
    assert callable(compress)
    (tmp_path / "a.blend").write_bytes(compress(small_blend(new=new)))
    assert check_blend(tmp_path / "a.blend") == version


@given(cut=st.integers(0, len(small_blend(new=True)) - 1), new=st.booleans(), kind=st.integers(0, 2))
def test_every_truncation_is_found(tmp_path_factory: pytest.TempPathFactory, cut: int, new: bool, kind: int) -> None:
    """No proper beginning of a .blend is taken for a .blend, wherever it is cut and however compressed."""
    whole = small_blend(new=new)
    compress = (bytes, gzip.compress, zstandard.compress)[kind]
    data = compress(whole)
    path = tmp_path_factory.mktemp("cut") / "a.blend"
    path.write_bytes(data[: min(cut, len(data) - 9)])  # a gzip trailer holds no block
    with pytest.raises(BadInput):
        check_blend(path)


@given(st.binary(max_size=200))
def test_check_blend_never_fails_otherwise(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever is in a file, the answer is a version or BadInput."""
    path = tmp_path_factory.mktemp("any") / "a.blend"
    for start in (b"", b"BLENDER-v293", b"BLENDER17-01v0502", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"):
        path.write_bytes(start + data)
        try:
            check_blend(path)
        except BadInput as error:
            assert "\n" not in str(error)


def test_a_folder_and_nothing(tmp_path: Path) -> None:
    """A folder and a path without file are told apart."""
    with pytest.raises(BadInput, match="is a folder"):
        check_blend(tmp_path)
    with pytest.raises(BadInput, match="no such file"):
        check_blend(tmp_path / "a.blend")


_BUILD = """
import sys
from pathlib import Path
import bpy
root = Path(sys.argv[1]); options = sys.argv[2:]
project, tex, outside = root / "My Scène 木" / "shots", root / "My Scène 木" / "tex tures", root / "elsewhere"
for folder in (project, tex, outside): folder.mkdir(parents=True)
def save(path, colour):
    image = bpy.data.images.new("x", 4, 4); image.generated_color = colour
    image.filepath_raw, image.file_format = str(path), "PNG"; image.save(); bpy.data.images.remove(image)
for i in range(1, 6): save(tex / f"seq_{i:04d}.png", (i / 5, 0, 0, 1))
save(outside / "absolute.png", (0, 1, 0, 1)); save(tex / "über relative.png", (0, 0, 1, 1))
for tile in (1001, 1002): save(tex / f"tile.{tile}.png", (0, 1, 1, 1))
bpy.ops.wm.read_homefile(use_empty=True)
bpy.ops.mesh.primitive_cube_add(); cube = bpy.context.object
def material(image, name):
    made = bpy.data.materials.new(name)
    node = made.node_tree.nodes.new("ShaderNodeTexImage"); node.image = image
    made.node_tree.links.new(node.outputs[0], made.node_tree.nodes["Principled BSDF"].inputs[0])
    cube.data.materials.append(made); return node
blend = project / "the scene.blend"
bpy.ops.wm.save_as_mainfile(filepath=str(blend))
def load(path, stored, source="FILE"):
    image = bpy.data.images.load(str(path)); image.source = source; image.filepath = stored; return image
node = material(load(tex / "seq_0001.png", "//../tex tures/seq_0001.png", "SEQUENCE"), "sequence")
node.image_user.frame_duration = 5
material(load(tex / "über relative.png", "//../tex tures/über relative.png"), "relative")
udim = load(tex / "tile.1001.png", "//../tex tures/tile.<UDIM>.png", "TILED"); udim.tiles.new(1002)
material(udim, "udim")
if "absolute" in options: material(load(outside / "absolute.png", str(outside / "absolute.png")), "absolute")
if "missing" in options:
    gone = bpy.data.images.new("gone", 4, 4); gone.source = "FILE"; gone.filepath = "//../tex tures/gone away.png"
    material(gone, "broken material")
    unused = bpy.data.images.new("unused", 4, 4); unused.source = "FILE"; unused.filepath = "//unused.png"
    unused.use_fake_user = True
if "missing_tile" in options: (tex / "tile.1002.png").unlink()
bpy.ops.wm.save_as_mainfile(filepath=str(blend), compress="zstd" in options)
"""


def build(folder: Path, *options: str) -> Path:
    """A scene with textures beside, above and outside its folder, with spaces and other scripts in the names."""
    command = [sys.executable, "-W", "ignore", "-c", _BUILD, str(folder), *options]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "My Scène 木" / "shots" / "the scene.blend"


def lay_out(packed: PackedScene, folder: Path) -> Path:
    """What a worker has: the manifest's files in an empty folder, and nothing else of this disk."""
    for path, source in packed.sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / path)
    return folder / packed.manifest.main


@pytest.mark.blender
def test_relative_scene_travels_as_it_is(tmp_path: Path) -> None:
    """Where all paths are relative, the pack is the artist's own bytes; sequences and UDIM tiles are complete."""
    blend = build(tmp_path / "made", "zstd")
    with pack_scene(blend) as packed:
        assert packed.manifest.main == "shots/the scene.blend"
        assert set(packed.sources) == {
            "shots/the scene.blend", "tex tures/über relative.png",
            "tex tures/tile.1001.png", "tex tures/tile.1002.png",
            *(f"tex tures/seq_{i:04d}.png" for i in range(1, 6)),
        }  # fmt: skip
        assert packed.sources[packed.manifest.main] == blend


@pytest.mark.blender
def test_absolute_paths_become_relative(tmp_path: Path) -> None:
    """A scene with an absolute path is rewritten; laid out elsewhere, with the original gone, nothing is missing."""
    blend = build(tmp_path / "made", "absolute")
    original = blend.read_bytes()
    with pack_scene(blend) as packed:
        staging = packed.sources[packed.manifest.main].parents[1]
        assert packed.sources[packed.manifest.main] != blend
        there = lay_out(packed, tmp_path / "worker")
    assert not staging.exists() and blend.read_bytes() == original
    shutil.rmtree(tmp_path / "made")
    with pack_scene(there) as again:
        assert len(again.manifest.assets) == len(packed.manifest.assets) == 10
        assert all(path.is_relative_to(tmp_path / "worker") for path in again.sources.values())


@pytest.mark.blender
def test_missing_files_are_named(tmp_path: Path) -> None:
    """A texture that a material needs is named with its user; one that nothing renders is not asked for."""
    blend = build(tmp_path / "made", "missing")
    with (
        pytest.raises(BadInput, match=r"gone away\.png \(image, used by broken material\)") as error,
        pack_scene(blend),
    ):
        pytest.fail("it was packed")
    assert "unused" not in str(error.value) and error.value.code == "missing_files"
    blend = build(tmp_path / "tiles", "missing_tile")
    with pytest.raises(BadInput, match="<UDIM>"), pack_scene(blend):
        pytest.fail("it was packed")


@pytest.mark.blender
@pytest.mark.scenes
@real_scenes
@pytest.mark.parametrize(
    ("scene", "main", "others"),
    [
        ("golem_column/the_column.blend", "the_column.blend",
         {"assets/column.blend", "assets/jello.blend", "assets/altocumulus.jpg"}),
        ("arch_journey/wallpapers/os/arch-journey/arch-journey.blend", "wallpapers/os/arch-journey/arch-journey.blend",
         {"resources/pink_sunrise.hdr"}),
        ("openshot_earth/blend/earth.blend", "blend/earth.blend", {"earth/world_map.jpg"}),
        ("artix_iceberg/artix-iceberg.blend", "artix-iceberg.blend", set()),
        ("fixture_udim/v01_UDIM_BAT_debugging.blend", "v01_UDIM_BAT_debugging.blend",
         {f"cube_UDIM.color.{tile}.png" for tile in (1001, 1002, 1003)}),
        ("fixture_exit_deadlock_geonodes/file_to_pack.blend", "file_to_pack.blend",
         {"node_lib.blend", "object_lib.blend"}),
    ],
)  # fmt: skip
def test_real_scenes(scene: str, main: str, others: set[str]) -> None:
    """Scenes by other people: linked libraries, textures of libraries, above the folder, UDIM, Blender's own files."""
    with pack_scene(SCENES / scene) as packed:
        assert packed.manifest.main == main
        assert set(packed.sources) == {main, *others}


@pytest.mark.blender
@pytest.mark.scenes
@real_scenes
def test_a_scene_without_its_hdr(tmp_path: Path) -> None:
    """The scene that renders magenta and exits with 0 without its HDR is refused, and the HDR named."""
    shutil.copyfile(SCENES / "arch_journey/wallpapers/os/arch-journey/arch-journey.blend", tmp_path / "a.blend")
    with pytest.raises(BadInput, match=r"pink_sunrise\.hdr"), pack_scene(tmp_path / "a.blend"):
        pytest.fail("it was packed")
