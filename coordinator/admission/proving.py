"""What will be proven about a job, in which lanes, in words: before anybody pays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from coordinator.leasing.auditors import Panel
from coordinator.leasing.workers import Worker
from coordinator.store.models import Job
from jobs.contract import RASTER, InferContract, Lane, RenderContract
from jobs.planner import WHOLE_RUN
from verification.lanes import question_of
from verification.noise import pixels_for_noise_ratio

__all__ = ["lane_words", "lanes_of", "main_lane", "proven"]


def lanes_of(
    panel: Panel, job: Job, contract: RenderContract | InferContract, workers: Sequence[Worker]
) -> dict[str, Lane]:
    """The lane in which each worker's tiles would be judged, by its address; without those whom nobody can judge."""
    if not panel.trusted:
        return {worker.address: contract.lane for worker in workers}
    question, runtime = question_of(contract), f"{contract.class_runtime}-{contract.version}"
    found: dict[str, Lane] = {}
    for worker in workers:
        device = worker.classes_for(runtime, None)[0]
        own = panel.trusted_for(question, runtime, device.numerics_class, [worker.owner])
        best = [own] if own else panel.strangers_for(job, question, runtime, device.numerics_class, [worker.owner])
        if best:
            found[worker.address] = best[0].lane
    return found


def main_lane(contract: RenderContract | InferContract, lanes: Mapping[str, Lane]) -> Lane:
    """The lane of most machines that fit; the contract's own where none is online or it is as frequent."""
    if not lanes:
        return contract.lane
    counts = Counter(lanes.values())
    return max(counts, key=lambda lane: (counts[lane], lane is contract.lane))


def proven(contract: RenderContract | InferContract, lane: Lane, probes: int) -> str:
    """What is proven about each tile in this lane, for people."""
    if isinstance(contract, InferContract):
        return _items(contract, lane, probes)
    if lane is Lane.PERCEPTUAL:
        some = "every frame" if contract.lane is Lane.PERCEPTUAL else f"one frame of each tile of up to {WHOLE_RUN}"
        return (
            f"WEAK: {some} is rendered again by a second, unrelated machine and compared by perceptual hash and "
            "structure, with a low-resolution reference frame beside them; this sees a wrong or spoiled picture, and "
            "not a few samples less; it withholds pay and suspends, nobody is slashed for it"
        )
    if not contract.in_cells:
        again = (
            f"one frame of each tile of up to {WHOLE_RUN} frames, drawn after it was handed in (three of a new "
            "node's), is rendered again as a whole"
        )
        if lane is Lane.TOLERANT:
            return f"{again} and compared by the share of pixels that differ, calibrated for the two machines' classes"
        noise = " (across numerics classes by mean and level of the noise)" if contract.path_guiding else ""
        return f"{again} and compared to the bit{noise}"
    how = "to the bit"
    if lane is Lane.TOLERANT:
        how = "by the share of pixels that differ, calibrated for the two machines' classes"
    return (
        f"{probes} blocks of 8x8 pixels of every tile (more of a new node's), drawn after it was handed in, are "
        f"rendered again with all their samples and compared {how}, all {len(contract.channels)} channels"
    )


def _items(contract: InferContract, lane: Lane, probes: int) -> str:
    again = f"{probes} items of every tile (more of a new node's), drawn after it was handed in, are computed again"
    if lane is Lane.PERCEPTUAL:
        return (
            f"WEAK: {again} by a second, unrelated machine, and the pictures compared by perceptual hash and "
            "structure; it withholds pay and suspends, nobody is slashed for it"
        )
    if lane is Lane.TOLERANT:
        return f"{again}; outputs and the fingerprint of {contract.tap!r} must agree within calibrated limits"
    return f"{again}; outputs and the fingerprint of {contract.tap!r} must agree to the bit within one numerics class"


_SHORT = {
    Lane.EXACT: "to the bit",
    Lane.WHOLE: "by whole frames, to the bit (across classes by mean and noise)",
    Lane.TOLERANT: "by the share of what differs, calibrated for the pair of classes",
    Lane.PERCEPTUAL: "by look, which is a weak proof",
}


def lane_words(
    contract: RenderContract | InferContract, lane: Lane, lanes: Mapping[str, Lane], fitting: int
) -> list[str]:
    """Warnings about machines whose tiles are judged otherwise than most, or not at all."""
    found = [
        f"Tiles of {count} of {fitting} machines that fit are compared {_SHORT[other]}."
        for other, count in sorted(Counter(lanes.values()).items())
        if other is not lane
    ]
    left_out = fitting - len(lanes)
    if left_out:
        found.append(
            f"{left_out} of {fitting} machines get none of it: their numerics class was never calibrated and has no "
            "independent auditor."
        )
    if isinstance(contract, RenderContract) and contract.path_guiding:
        needed = pixels_for_noise_ratio(2.0)
        if contract.rect.area < needed:
            found.append(
                f"Path guiding is compared across machine classes by its noise, which takes {needed:,} pixels: frames "
                f"of {contract.rect.area:,} go to auditors of the same class only."
            )
    if isinstance(contract, RenderContract) and contract.class_runtime == RASTER and lane is Lane.WHOLE:
        found.append("Bits are compared where two machines draw with the same graphics driver.")
    return found
