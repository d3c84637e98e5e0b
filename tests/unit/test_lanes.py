"""Which lane a pair of classes allows: bits where they can be had, nothing where nobody measured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.contract import RASTER, Lane
from tests.unit.strategies import infer_contract, render_contract
from verification.lanes import BITS, Question, bits_decide, lane_between, question_of
from verification.limits import Limits
from verification.noise import pixels_for_noise_ratio

CLASSES = ("blender-5.2.3/CPU/a", "blender-5.2.3/CPU/b", "blender-5.2.3/OPTIX/c")
CALIBRATED = frozenset(CLASSES[:2])
questions = st.builds(
    Question, st.sampled_from(list(Lane)), st.just("render"), st.sampled_from(("blender", RASTER)), st.booleans(),
    st.integers(1, 1 << 24),
)  # fmt: skip


def known(one: str, other: str, kind: str) -> Limits | None:
    if frozenset((one, other)) != CALIBRATED or kind == "infer-half":
        return None
    return Limits(worker_class=one, auditor_class=other, kind=kind, accept=0.01, reject=0.1)


@given(questions, st.sampled_from(CLASSES), st.sampled_from(CLASSES), st.booleans())
def test_bits_only_within_a_class_that_repeats_and_nothing_guessed(
    question: Question, worker: str, auditor: str, repeats: bool
) -> None:
    """The exact lane needs one class that repeats itself; a pair without calibration has no lane but by look; it does
    not matter who of the two is the auditor."""
    lane = lane_between(question, worker, auditor, repeats=repeats, known=known)
    assert lane == lane_between(question, auditor, worker, repeats=repeats, known=known)
    same, raster = worker == auditor, question.class_runtime == RASTER
    if lane is Lane.EXACT or (lane in BITS and same):
        assert same and repeats
    if not (same and repeats) and not raster and question.lane is not Lane.PERCEPTUAL:
        assert (lane is None) or frozenset((worker, auditor)) == CALIBRATED
    guided_elsewhere = question.path_guiding and CLASSES[2] in (worker, auditor)
    if guided_elsewhere:
        assert lane is None
    elif lane is None:
        assert not (same and repeats) and question.lane is not Lane.PERCEPTUAL
    if lane is not None and bits_decide(lane, worker, auditor):
        assert same


def test_what_each_job_gets() -> None:
    """Cycles, path guiding, EEVEE, Workbench, batches: as docs/proof.md says."""
    a = CLASSES[0]

    def lane(contract: object, auditor: str, repeats: bool = True) -> Lane | None:
        return lane_between(question_of(contract), a, auditor, repeats=repeats, known=known)  # type: ignore[arg-type]

    cycles = render_contract(640, 480)
    assert [lane(cycles, x) for x in CLASSES] == [Lane.EXACT, Lane.TOLERANT, None]
    assert lane(cycles, a, repeats=False) is None  # varies, and was never calibrated against itself
    guided = render_contract(640, 480, lane=Lane.WHOLE, path_guiding=True)
    assert [lane(guided, x) for x in CLASSES] == [Lane.WHOLE, Lane.WHOLE, None]
    small = render_contract(32, 32, lane=Lane.WHOLE, path_guiding=True)
    assert 32 * 32 < pixels_for_noise_ratio(2.0) < 640 * 480
    assert [lane(small, x) for x in CLASSES] == [Lane.WHOLE, None, None]
    freestyle = render_contract(640, 480, lane=Lane.WHOLE)
    assert [lane(freestyle, x) for x in CLASSES] == [Lane.WHOLE, Lane.TOLERANT, None]
    eevee = render_contract(640, 480, engine="BLENDER_EEVEE", lane=Lane.WHOLE)
    assert [lane(eevee, x) for x in CLASSES] == [Lane.WHOLE, Lane.PERCEPTUAL, Lane.PERCEPTUAL]
    assert lane(eevee, a, repeats=False) is Lane.PERCEPTUAL
    workbench = render_contract(640, 480, engine="BLENDER_WORKBENCH", lane=Lane.PERCEPTUAL)
    assert [lane(workbench, x) for x in CLASSES] == [Lane.PERCEPTUAL] * 3
    batch = infer_contract()
    assert [lane(batch, x) for x in CLASSES] == [Lane.EXACT, Lane.TOLERANT, None]
    half = batch.model_copy(update={"extra": {"half_precision": True}})
    assert [lane(half, x) for x in CLASSES] == [Lane.EXACT, None, None]
    half = half.model_copy(update={"lane": Lane.PERCEPTUAL})
    assert [lane(half, x) for x in CLASSES] == [Lane.EXACT, Lane.PERCEPTUAL, Lane.PERCEPTUAL]
