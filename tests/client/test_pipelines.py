"""A pipeline run by a studio's own program, with both clients: at a gateway whose coordinator the test plays, with a
real chain; and through a whole stack."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from coordinator.stack import LocalStack, temporary_stack
from coordinator.store.models import Job
from jobs.client import AsyncClient, Client, StepResult
from jobs.errors import BadInput, JobFailed, Refused
from jobs.inputs.files import read_table
from jobs.pipeline import Pipeline, load_pipeline
from jobs.states import JobState
from tests.client.conftest import gather
from tests.client.playing import Coordinator, small_pipeline
from tests.coordinator.gateway.conftest import Served
from tests.support.models import matte
from tests.unit.test_inputs import model
from tests.web.chained import chained

both = pytest.mark.parametrize("awaited", [False, True], ids=["Client", "AsyncClient"])
_TWO = "a: {infer: m.onnx, inputs: x.npy}\n  b: {infer: m.onnx, inputs: x.npy}"


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway with a chain, where the owner has 100 KILN."""
    with chained(tmp_path_factory.mktemp("chained")) as served:
        yield served


def _states(served: Served) -> dict[str, str]:
    with served.world.db.read() as session:
        return {row.id: row.state for row in session.scalars(select(Job))}


def _run(served: Served, awaited: bool, pipeline: Pipeline, **given: Any) -> list[StepResult]:
    out = pipeline.path.parent / "out"
    return gather(served, awaited, lambda client: client.run_pipeline(pipeline, out, **given))


@both
def test_a_no_leaves_nothing_behind(ordered: Served, tmp_path: Path, awaited: bool) -> None:
    """Nowhere to put a step's files, a no, a cap that is too low, a balance that is too small for all of them, a step
    that is not admitted: nothing is ordered, not even the steps that could be; their jobs are withdrawn; and the next
    run makes new ones of them."""
    before, asked = set(_states(ordered)), []
    pipeline = small_pipeline(tmp_path, _TWO)
    for file in ("out", "out/b"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("no folder")
        with pytest.raises(BadInput, match=rf"{file}: is a file; name a folder"):
            _run(ordered, awaited, pipeline)
        (tmp_path / file).unlink()
    assert set(_states(ordered)) == before
    with Coordinator(ordered):
        for _ in range(2):
            with pytest.raises(Refused, match="not accepted; nothing was charged for a, b") as no:
                _run(ordered, awaited, pipeline, confirm=lambda quotes: bool(asked.append(dict(quotes))))
            assert no.value.code == "declined"
        [first, again] = [{job.id for job in quotes.values()} for quotes in asked]
        assert len(first | again) == 4 and list(asked[0]) == ["a", "b"]
        assert {job.quote.cap_usd for job in asked[0].values()} == {"1.25"}
        with pytest.raises(BadInput, match=r"may cost 2\.50 USD, above cap_usd 2; raise it"):
            _run(ordered, awaited, small_pipeline(tmp_path, _TWO, cap=2), confirm=lambda _: pytest.fail("asked"))
    with Coordinator(ordered, cap=60 * 10**18), pytest.raises(BadInput, match=r"and the steps a, b need 120.*send it"):
        _run(ordered, awaited, pipeline, confirm=lambda _: pytest.fail("asked"))
    with Coordinator(ordered, refused=("b",)), pytest.raises(BadInput, match=r"^step b: not that model"):
        _run(ordered, awaited, pipeline)
    states = {job: state for job, state in _states(ordered).items() if job not in before}
    assert set(states.values()) == {"cancelled", "failed"} and list(states.values()).count("failed") == 1


@both
def test_a_step_that_fails_is_named_and_the_others_go_on(ordered: Served, tmp_path: Path, awaited: bool) -> None:
    """The error says which step failed and which jobs go on; the next run asks for the failed one alone, and follows
    the others."""
    # Names of its own for each client: the same work would be the same job.
    good, bad = f"good{awaited:d}", f"bad{awaited:d}"
    pipeline = small_pipeline(tmp_path, _TWO.replace("a:", f"{good}:").replace("b:", f"{bad}:"))
    ids: dict[str, str] = {}
    failing = True

    def see(step: str, job: Any) -> None:
        ids[step] = job.id
        if job.state is JobState.RUNNING:
            if not failing:
                play.end(job.id, JobState.DONE)
            elif step == bad:
                play.end(job.id, JobState.FAILED, error="tile 1 cannot be done", error_code="tile_failed")

    with Coordinator(ordered) as play:
        with pytest.raises(JobFailed) as error:
            _run(ordered, awaited, pipeline, on_change=see)
        first = dict(ids)
        told = f"step {bad}: job {first[bad]} failed: tile 1 cannot be done; what was not spent is refunded; what was "
        goes_on = f"ordered goes on ({good} (job {first[good]})): run the pipeline again to follow it"
        assert str(error.value) == told + goes_on and error.value.code == "tile_failed"
        assert _states(ordered)[first[good]] == "running"
        failing, asked = False, []
        done = _run(ordered, awaited, pipeline, on_change=see, confirm=lambda quotes: not asked.append(list(quotes)))
    assert asked == [[bad]] and ids[good] == first[good] and ids[bad] != first[bad]
    assert {one.name: (one.job.id, one.job.state) for one in done} == {name: (ids[name], "done") for name in ids}


def test_leaving_withdraws_what_was_not_ordered(ordered: Served, tmp_path: Path) -> None:
    """Ctrl-C while a quote is waited for, and a task that is cancelled: the job waits for no answer after that."""
    before = set(_states(ordered))

    def interrupt(_step: str, job: Any) -> None:
        if job.state is JobState.ADMITTING:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(ordered, False, small_pipeline(tmp_path, "left: {infer: m.onnx, inputs: x.npy}"), on_change=interrupt)

    async def main() -> bool:
        async with AsyncClient(ordered.url, ordered.world.owner.key, patience=5) as client:
            pipeline = small_pipeline(tmp_path, "cancelled: {infer: m.onnx, inputs: x.npy}")
            seen = anyio.Event()
            async with anyio.create_task_group() as group:

                async def iterate() -> None:
                    async for _ in client.run_pipeline(pipeline, tmp_path, on_change=lambda *_: seen.set()):
                        pass

                group.start_soon(iterate)
                await seen.wait()
                group.cancel_scope.cancel()
            return group.cancel_scope.cancelled_caught

    assert anyio.run(main)
    left = {job: state for job, state in _states(ordered).items() if job not in before}
    assert list(left.values()) == ["cancelled", "cancelled"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    data = tmp_path_factory.mktemp("pipelines") / "data"
    with temporary_stack(nodes=1, data=data, unsandboxed=shutil.which("bwrap") is None) as running:
        yield running


_FED = """
version: 1
cap_usd: 5
steps:
  plate-{kind}: {{infer: matte.onnx, inputs: plates, resize: true, format: images}}
  matte-{kind}: {{infer: matte.onnx, inputs: {{from: plate-{kind}}}, format: images}}
  label-{kind}: {{infer: m.onnx, inputs: {{from: matte-{kind}}}, format: parquet}}
"""


@pytest.mark.stack
@pytest.mark.slow
@both
def test_pictures_go_from_step_to_step(stack: LocalStack, tmp_path: Path, awaited: bool) -> None:
    """Each step's result as it ends, its files in its folder, in order and by name; only the pictures of this run are
    taken; run again it is the same jobs, and nothing is paid; a step that cannot be done is named in the middle too."""
    model(tmp_path / "m.onnx")
    matte(tmp_path / "matte.onnx")
    (tmp_path / "plates").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "plates" / f"plate_{number}.png")
    text = _FED.format(kind="async" if awaited else "sync")
    names = [step.name for step in _written(tmp_path, text).steps]
    pipeline, out, seen = _written(tmp_path, text), tmp_path / "out", set()
    # What an earlier run left there is not fed.
    (out / names[0] / "old").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(out / names[0] / "old" / "stray.png")

    def run(pipeline: Pipeline) -> tuple[list[StepResult], Decimal]:
        return _through(stack, awaited, pipeline, out, lambda step, job: seen.add((step, job.state)))

    done, paid = run(pipeline)
    assert [one.name for one in done] == names and paid > 0
    assert {(name, JobState.RUNNING) for name in names} <= seen
    assert all(file.path.is_file() for one in done for file in one.files)
    labels = read_table(out / names[2] / "predictions.parquet")
    assert list(labels.names or ()) == [f"plate_{number}.png" for number in range(3)]
    for name, label in zip(labels.names or (), labels.arrays["y"], strict=True):
        picture = np.asarray(Image.open(out / names[1] / "alpha" / name), np.float32) / 255
        np.testing.assert_allclose(label, np.full(5, picture.sum()), rtol=1e-4)
    again, paid = run(pipeline)
    assert [one.job.id for one in again] == [one.job.id for one in done] and paid == 0
    assert [one.files for one in again] == [one.files for one in done]
    model(tmp_path / "two.onnx", second=True)
    with pytest.raises(BadInput, match=rf"^step {names[2]}: .*a folder of images fits a model with one input"):
        run(_written(tmp_path, text.replace("m.onnx, inputs: {from: matte", "two.onnx, inputs: {from: matte")))


def _written(folder: Path, text: str) -> Pipeline:
    (folder / "p.yaml").write_text(text)
    return load_pipeline(folder / "p.yaml")


def _through(
    stack: LocalStack, awaited: bool, pipeline: Pipeline, out: Path, on_change: Callable[[str, Any], None]
) -> tuple[list[StepResult], Decimal]:
    """What a run tells, and the KILN that it cost."""
    with Client(stack.gateway_url, str(stack.key_file)) as client:
        before = client.account().balance
        if awaited:

            async def main() -> list[StepResult]:
                async with AsyncClient(stack.gateway_url, str(stack.key_file)) as client:
                    return [one async for one in client.run_pipeline(pipeline, out, on_change=on_change)]

            done = anyio.run(main)
        else:
            done = list(client.run_pipeline(pipeline, out, on_change=on_change))
        return done, Decimal(before - client.account().balance)
