"""What the cheating nodes of samples/ deliver: of the right length, and wrong where they say it is."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jobs.contract import InferContract, RenderContract, TensorSpec
from jobs.manifest import Asset, hash_file
from jobs.states import JobKind, WorkKind
from jobs.tiles import InferTile, RenderTile
from jobs.wire import AuditCells, LeaseOffer
from node.agent import RunnerPool, RunnerSettings, Work, Worker
from node.runner_programs import BLENDER, ONNX, choose_launcher
from node.sandbox import sandbox_available
from samples.cheats import CHEATS
from verification.commitment import cell_bytes, split_cells

CANARY = Path(__file__).resolve().parents[2] / "node" / "canary"
TILE = RenderTile(frames=(2, 3), rect=(16, 52, 60, 84), samples=(0, 8))
BATCH = InferTile(first=3, count=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job's files: the canary scene, the canary model, and 16 items in shards of 5."""
    made = tmp_path_factory.mktemp("job")
    for name in ("canary.blend", "canary.onnx"):
        shutil.copy(CANARY / name, made / name)
    items = np.random.default_rng(5).integers(0, 255, (16, 3, 64, 64), np.uint8)
    (made / "inputs").mkdir()
    for shard in range(4):
        np.savez(made / f"inputs/{shard:05d}.npz", image=items[5 * shard : 5 * shard + 5])
    return made


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerPool]:
    report = sandbox_available()
    if not report.available:
        pytest.skip(f"{report.detail}; {report.remedy}")
    made = RunnerPool(
        tmp_path_factory.mktemp("pool") / "scratch",
        RunnerSettings(threads=2),
        choose_launcher(unsandboxed=False),
        keep=3,
    )
    yield made
    made.close()


def scene_contract(version: str) -> RenderContract:
    return RenderContract(
        version=version, engine="CYCLES", scene="Scene", camera="Camera", width=160, height=96, window=(0, 0, 160, 96),
        samples=8, seed=7, adaptive=False, guard=0, channels=tuple(f"ViewLayer.Combined.{c}" for c in "RGBA"),
    )  # fmt: skip


def model_contract(version: str) -> InferContract:
    return InferContract(
        version=version, opset=17, providers=("CPUExecutionProvider",), micro_batch=4, optimization="all", tf32=False,
        inputs=(TensorSpec(name="image", dtype="uint8", shape=(3, 64, 64)),),
        outputs=(TensorSpec(name="classes", dtype="float32", shape=(32,)),), tap="logits", fingerprint_seed=1,
        item_bytes=4 * 32 + 64, extra={"shard_items": 5},
    )  # fmt: skip


def work_of(
    folder: Path, contract: RenderContract | InferContract, tile: RenderTile | InferTile, cells: list[int] | None = None
) -> Work:
    """A lease over the tile, or over some of its cells."""
    offer = LeaseOffer(
        id="l1", token=1, kind=WorkKind.TILE if cells is None else WorkKind.AUDIT, job="j1",
        job_kind=JobKind.RENDER if isinstance(tile, RenderTile) else JobKind.INFER, expires_at=0, expected_seconds=1,
        heartbeat_seconds=1, secret_hash="0x" + "0" * 64, domain={},
        main="canary.blend" if isinstance(tile, RenderTile) else "canary.onnx", assets=assets_of(folder),
        contract=contract, tile=tile if cells is None else None,
        audit=None if cells is None else AuditCells(tile=tile, cells=tuple(cells)),
    )  # fmt: skip
    return Work(offer, folder, cancel=threading.Event())


def assets_of(folder: Path) -> tuple[Asset, ...]:
    return tuple(hash_file(path, relative_to=folder) for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.fixture(scope="module")
def scene_work(pool: RunnerPool, folder: Path) -> Work:
    return work_of(folder, scene_contract(pool.get(BLENDER, "j1", folder).version), TILE)


@pytest.fixture(scope="module")
def honest(pool: RunnerPool, scene_work: Work) -> bytes:
    return bytes(Worker(pool).tile(scene_work))


@pytest.mark.blender
@pytest.mark.parametrize("cheat", ["samples", "frame", "black", "half-blocks"])
def test_a_cheat_is_wrong_in_the_cells_that_it_saved(
    pool: RunnerPool, scene_work: Work, honest: bytes, cheat: str
) -> None:
    """Given an honest tile; then a cheat's has the same length, and its cells differ: all but a few, half of those of
    the one that copies half of its blocks, and with another frame those where something moves."""
    data = bytes(CHEATS[cheat](pool).tile(scene_work))
    contract = scene_work.render_contract()
    assert len(data) == len(honest)
    cells = range(TILE.cell_count())
    wrong = [i for i in cells if cell_bytes(contract, TILE, data, i) != cell_bytes(contract, TILE, honest, i)]
    share = len(wrong) / len(cells)
    least, most = {"half-blocks": (0.4, 0.5), "frame": (0.1, 1.0)}.get(cheat, (0.95, 1.0))
    assert least <= share <= most


@pytest.mark.blender
def test_skipped_samples_are_invisible(pool: RunnerPool, scene_work: Work, honest: bytes) -> None:
    """The picture with a sample less is one that no eye would refuse: that is what makes it a cheat worth catching."""
    data = CHEATS["samples"](pool).tile(scene_work)
    mine, true = np.frombuffer(data, "<f4"), np.frombuffer(honest, "<f4")
    assert 0 < np.abs(mine - true).mean() < 0.1 * np.abs(true).mean() + 0.05


def test_items_and_their_audit_have_the_same_bits_and_int8_has_others(pool: RunnerPool, folder: Path) -> None:
    """Given a run of items over two shards; then an audit of some of them agrees to the bit, and the int8 copy of the
    model differs in every item, its fingerprint by more than 3e-4 of its size."""
    version = pool.get(ONNX, "j1", folder).version
    contract = model_contract(version)
    work = work_of(folder, contract, BATCH)
    true = bytes(Worker(pool).tile(work))
    assert len(true) == BATCH.result_bytes(contract)
    cells = [0, 2, 8]
    redone = split_cells(contract, BATCH, cells, bytes(Worker(pool).audit(work_of(folder, contract, BATCH, cells))))
    assert redone == {cell: cell_bytes(contract, BATCH, true, cell) for cell in cells}
    cheated = bytes(CHEATS["int8"](pool).tile(work))
    for cell in range(BATCH.count):
        marks = [np.frombuffer(cell_bytes(contract, BATCH, data, cell)[-64:], "<f4") for data in (true, cheated)]
        assert np.abs(marks[0] - marks[1]).max() > 3e-4 * np.abs(marks[0]).max()
