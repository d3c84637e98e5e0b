"""Honest tiles of inference by the thousand: every one of items of its own, worked on by one process and redone, as far
as it is drawn, by another one with another number of threads, in another order and in other micro-batches.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jobs.contract import InferContract, Lane
from node.calibrate.batches import TAPPED, Results, Workbench
from node.calibrate.models import ModelCase, find_models
from node.calibrate.sides import Side
from node.runner_pool import RunnerPool
from tests.adversarial.material import ITEMS
from tests.adversarial.trials import Committed
from verification.limits import Limits
from verification.policy import FLOOR

__all__ = ["EXACT_TILES", "Bench", "count_items"]

EXACT_TILES: Mapping[str, int] = {
    "canary": 1300, "text-direction": 850, "text-detection": 700, "text-recognition": 100, "picture-classifier": 50
}  # fmt: skip
"""3,000; the slower a model, the fewer."""
_ITEMS = "honest.npz"
_SIZES = (4, 3, 4, 2, 12)
"""Items of a tile, in turn: whole micro-batches (of four), parts of one, and more than are drawn."""
_CHUNK = 50
"""Tiles between two restarts of both processes, which also change their numbers of threads."""
_THREADS = ((2, 1), (1, 2), (2, 2), (1, 1))


@dataclass(frozen=True)
class Bench:
    """Where the files lie, and who the auditors are: this machine's own class, or another one (`limits`: of the pair;
    worker and auditor change places with every chunk)."""

    folder: Path
    """A Workbench's: a folder for each model."""
    other: Side
    limits: Limits | None = None

    @property
    def lane(self) -> Lane:
        return Lane.EXACT if self.limits is None else Lane.TOLERANT


def count_items(bench: Bench, tiles: Mapping[str, int], *, kept: Path, say: Callable[[str], None]) -> dict[str, int]:
    """Honest tiles, items, restarts and verdicts over all models; what is in the file `kept` is not run again."""
    found: dict[str, dict[str, int]] = json.loads(kept.read_text()) if kept.is_file() else {}
    for name, count in tiles.items():
        if found.get(name, {}).get("tiles") != count:
            found[name] = _of_model(bench, name, count)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found))
            say(f"{name}: {found[name]}")
    total: Counter[str] = Counter()
    for name in tiles:
        total.update(found[name])
    return {"models": len(tiles), **total}


def _of_model(bench: Bench, name: str, tiles: int) -> dict[str, int]:
    sizes = [_SIZES[i % len(_SIZES)] for i in range(tiles)]
    (case,) = find_models([], sum(sizes), only=(name,))
    contract = _described(bench, name)
    verdicts: Counter[str] = Counter()
    for chunk, at in enumerate(range(0, tiles, _CHUNK)):
        here = sizes[at : at + _CHUNK]
        first = sum(sizes[:at])
        with _laid_out(bench.folder / name, case, first, sum(here)) as folder, ExitStack() as stack:
            worker, auditor = _sides(bench, chunk)
            own = stack.enter_context(worker.pool(bench.folder / "honest-worker"))
            theirs = stack.enter_context(auditor.pool(bench.folder / "honest-auditor"))
            verdicts.update(_tiles(bench, contract, folder, own, theirs, here, np.random.default_rng(chunk)))
        verdicts["restarts"] += 1
    return {
        "tiles": tiles, "items": sum(sizes), "redone": verdicts["redone"], "restarts": verdicts["restarts"],
        "refused": verdicts["reject"], "escalated": verdicts["escalate"],
    }  # fmt: skip


def _described(bench: Bench, name: str) -> InferContract:
    """As this machine's class describes the model; it lays out the model's folder too."""
    (case,) = find_models([], ITEMS, only=(name,))
    with Side.of("a").pool(bench.folder / "honest-describing") as pool:
        return Workbench(Side.of("a"), pool, bench.folder, bench.folder.parent / "results").contract(case)


def _sides(bench: Bench, chunk: int) -> tuple[Side, Side]:
    threads = _THREADS[chunk % len(_THREADS)]
    pair = replace(Side.of("a"), threads=threads[0]), replace(bench.other, threads=threads[1])
    return (pair[1], pair[0]) if bench.limits is not None and chunk % 2 else pair


@contextmanager
def _laid_out(folder: Path, case: ModelCase, first: int, count: int) -> Iterator[Path]:
    """The model's folder with the items of one chunk, for as long as it takes."""
    items = folder / _ITEMS
    np.savez(items, **{name: array[first : first + count] for name, array in case.items.items()})  # type: ignore[arg-type]
    try:
        yield folder
    finally:
        items.unlink()


def _tiles(
    bench: Bench, contract: InferContract, folder: Path, own: RunnerPool, theirs: RunnerPool, sizes: list[int],
    rng: np.random.Generator,
) -> Iterator[str]:  # fmt: skip
    """For each tile its verdict's name, and "redone" for each item that the auditor computed."""
    first = 0
    for size in sizes:
        claimed = Workbench.ask(own, contract, folder, TAPPED, _ITEMS, first=first, count=size)
        committed = Committed(contract, claimed)
        drawn = committed.draw(FLOOR)
        order = rng.permutation(drawn)
        alone = Workbench.ask(theirs, contract, folder, TAPPED, _ITEMS, chosen=[first + int(i) for i in order])
        redone: dict[int, Results] = {int(index): row for index, row in zip(order, alone, strict=True)}
        yield from ["redone"] * len(drawn)
        yield str(committed.judge(drawn, redone, bench.lane, bench.limits))
        first += size
