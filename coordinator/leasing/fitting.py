"""Who of those online fits a job, and by the name of which constraint the others do not.

The quote, the lease and the line that says what a job waits for ask here, so that they never disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coordinator.leasing.auditors import Panel
from coordinator.leasing.workers import Worker
from jobs.constraints import Constraint, Needs
from jobs.wire import RuntimeClass
from verification.lanes import Question

__all__ = ["Fit", "devices_for", "survey"]

_CENT = 1e-9
"""Rounding of prices on their way through JSON."""


@dataclass(frozen=True)
class Fit:
    """What became of everybody who is online."""

    fitting: list[Worker] = field(default_factory=list)
    excluded: Counter[Constraint] = field(default_factory=Counter)
    """By the first constraint that each breaks."""


def affordable(worker: Worker, price: float | None) -> bool:
    """Whether a worker asks no more than a job pays, in USD per kiln-hour; None: nothing is offered yet."""
    return price is not None and worker.ask <= price * (1 + _CENT)


def devices_for(worker: Worker, needs: Needs, runtime: str, numerics_class: str | None = None) -> list[RuntimeClass]:
    """The worker's devices that may do tiles of a job, in the order in which it named them."""
    devices = worker.classes_for(runtime, numerics_class)
    return [device for device in devices if worker.unmet(needs, device) is None]


def survey(
    panel: Panel,
    workers: Iterable[Worker],
    *,
    job: str,
    needs: Needs,
    question: Question,
    runtime: str,
    late: set[str],
    price: float | None = None,
) -> Fit:
    """Sort nodes by whether they fit a job. `late`: who lets leases lapse. `price` (USD per kiln-hour): where it is
    known already, who asks more does not fit."""
    found = Fit()
    for worker in workers:
        if worker.trusted:
            continue  # the coordinator's own do no paid work
        wrong = _unfit(panel, worker, job, needs, question, runtime, late)
        if wrong is None and price is not None and not affordable(worker, price):
            wrong = Constraint.PRICE
        if wrong is None:
            found.fitting.append(worker)
        else:
            found.excluded[wrong] += 1
    return found


def _unfit(
    panel: Panel, worker: Worker, job: str, needs: Needs, question: Question, runtime: str, late: set[str]
) -> Constraint | None:
    devices = worker.classes_for(runtime, None)
    if not devices:
        return Constraint.RUNTIME
    if worker.suspended or worker.address in late:
        return Constraint.STANDING
    unmet = [worker.unmet(needs, device) for device in devices]
    if None not in unmet:
        return unmet[0]
    device = devices[unmet.index(None)]
    if not panel.can_be_audited(job, question, runtime, device.numerics_class, worker.owner):
        return Constraint.AUDIT
    return None


def named(needs: Needs, runtime: str, excluded: Mapping[Constraint, int], price: float | None = None) -> str:
    """The constraint that nobody online meets, to be read after "waits for": the last one that somebody fell out at,
    for who fell out before would not have come so far."""
    if not excluded:
        return f"a node that has {runtime}: none is online"
    last = max(excluded, key=list(Constraint).index)
    count = sum(excluded.values())
    others = f"{count} {'is' if count == 1 else 'are'} online"
    match last:
        case Constraint.RUNTIME:
            return f"a node that has {runtime}: {others}, none with it"
        case Constraint.STANDING:
            return (
                f"a node in good standing that has {runtime}: those online are suspended, let leases lapse or have too "
                "little at stake"
            )
        case Constraint.AUDIT:
            return (
                "somebody who can judge what the nodes that fit compute: their numerics class was never calibrated and "
                "has no independent auditor online"
            )
        case Constraint.PRICE:
            return f"a node that asks at most {price or 0:g} USD per kiln-hour: {others} and ask more"
        case _:
            return f"a node {needs.wanted(last)}: {others}, none such"
