"""Which lane a pair of numerics classes allows for a contract: the strongest one there is, or none.

None means that nobody of the auditor's class may judge the worker: the pair was never calibrated, and a threshold is
not guessed. Such an audit goes to an auditor of the worker's own class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jobs.contract import HALF_PRECISION, RASTER, InferContract, Lane, RenderContract
from verification.limits import Limits, limits_for
from verification.noise import pixels_for_noise_ratio

__all__ = ["BITS", "Question", "bits_decide", "lane_between", "question_of"]

BITS = frozenset({Lane.EXACT, Lane.WHOLE})
"""Lanes in which, within one class, bits decide: only their refusals can ever be slashed for."""
HALF_THE_SAMPLES = 2.0
"""Ratio of noise variances that a comparison of noise levels has to be able to see: half of the samples missing."""

Known = Callable[[str, str, str], Limits | None]


class Question(NamedTuple):
    """What of a contract decides its lane."""

    lane: Lane
    kind: str
    """`render` or `infer`, as limits_for names it; `infer-half`, of which no limits are known."""
    class_runtime: str
    path_guiding: bool
    pixels: int
    """Of the whole window; 0 for inference."""


def question_of(contract: RenderContract | InferContract) -> Question:
    """The plain values that lane_between needs."""
    if isinstance(contract, InferContract):
        # Limits were measured on models in single precision.
        kind = "infer-half" if contract.extra.get(HALF_PRECISION) else "infer"
        return Question(contract.lane, kind, contract.class_runtime, False, 0)
    return Question(contract.lane, "render", contract.class_runtime, contract.path_guiding, contract.rect.area)


def lane_between(
    question: Question, worker_class: str, auditor_class: str, *, repeats: bool, known: Known = limits_for
) -> Lane | None:
    """The lane in which an auditor of `auditor_class` can judge a worker of `worker_class`, or None.

    `repeats`: both classes were measured to repeat themselves to the bit. `known` gives the calibrated limits of a
    pair. Within one class that repeats itself bits decide, whatever the contract; across classes, and in a class that
    varies, pixels are compared by share where the pair was calibrated; the noise of path guiding by its mean and level,
    where the frame has the pixels for it; pictures of the raster engines, and of models in half precision, by look.
    """
    if question.path_guiding and not (_on_cpu(worker_class) and _on_cpu(auditor_class)):
        return None  # only the CPU learns: a GPU draws the same scene without guiding
    same = worker_class == auditor_class
    lane, raster = question.lane, question.class_runtime == RASTER
    if same and repeats:
        if lane is Lane.PERCEPTUAL:
            return Lane.PERCEPTUAL if question.kind == "render" else Lane.EXACT
        return Lane.EXACT if lane is Lane.TOLERANT else lane
    if lane is Lane.PERCEPTUAL or raster:
        return Lane.PERCEPTUAL
    if known(worker_class, auditor_class, question.kind) is None:
        return None
    if question.path_guiding:
        return Lane.WHOLE if question.pixels >= pixels_for_noise_ratio(HALF_THE_SAMPLES) else None
    return Lane.TOLERANT


def _on_cpu(numerics_class: str) -> bool:
    """By the device in RUNTIME-VERSION/DEVICE/DIGEST."""
    return numerics_class.split("/")[1:2] in (["CPU"], ["cpu"])


def bits_decide(lane: Lane, worker_class: str, auditor_class: str) -> bool:
    """Whether a verdict of this lane was one of bits: the only kind that may ever lead to slashing."""
    return lane in BITS and worker_class == auditor_class
