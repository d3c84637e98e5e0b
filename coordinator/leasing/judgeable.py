"""No work that nobody can judge: which classes get tiles, and of which jobs."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.errors import Conflict
from coordinator.leasing.auditors import Panel, auditing_in
from coordinator.leasing.fitting import devices_for
from coordinator.leasing.offers import contract_of
from coordinator.leasing.workers import Worker, worker_from
from coordinator.store.models import Job, Node
from jobs.constraints import Needs
from jobs.contract import Lane
from jobs.states import WorkKind
from jobs.wire import ClaimRequest, RuntimeClass
from verification.lanes import Question, question_of

__all__ = ["Asked", "asked", "judgeable", "lanes_of_node", "must_be_measured"]


def must_be_measured(panel: Panel, worker: Worker, request: ClaimRequest) -> None:
    """Raises Conflict where a worker asks for tiles and none of its classes has a calibration against the coordinator's
    own, or an independent auditor: work that nobody can judge is not paid, so it is not given."""
    if worker.trusted or WorkKind.TILE not in request.kinds:
        return
    for device in worker.classes:
        if panel.measured(_ordinary(device), f"{device.runtime}-{device.version}", device.numerics_class, worker.owner):
            return
    names = ", ".join(device.numerics_class for device in worker.classes)
    raise Conflict(
        f"nobody can judge what {names} computes: it was never calibrated against the coordinator's own workers, and "
        "no other owner's node of its class is online to audit it; calibrate it (`kilnet calibrate`), or wait for one",
        code="class_not_measured",
    )


def lanes_of_node(session: Session, settings: Settings, node: Node, *, now: float) -> dict[str, Lane | None]:
    """By numerics class, the lane in which a node's ordinary tiles would be judged now; None: nobody can judge it."""
    panel, worker = Panel(session, settings, now), worker_from(node)
    found: dict[str, Lane | None] = {}
    for device in worker.classes:
        question, runtime = _ordinary(device), f"{device.runtime}-{device.version}"
        own = panel.trusted_for(question, runtime, device.numerics_class, [worker.owner])
        others = panel.measured(question, runtime, device.numerics_class, worker.owner)
        found[device.numerics_class] = own.lane if own else Lane.EXACT if others else None
    return found


def _ordinary(device: RuntimeClass) -> Question:
    """What decides the lane of a job that has nothing special about it."""
    kind = "infer" if device.runtime == "onnxruntime" else "render"
    return Question(Lane.EXACT, kind, device.runtime, path_guiding=False, pixels=0)


def judgeable(session: Session, panel: Panel, worker: Worker, jobs: list[str]) -> list[str]:
    """Those of these jobs whose tiles, done by this worker, somebody independent could judge: and of which it, or
    another of its owner, is no auditor."""
    if worker.trusted:
        return jobs
    auditing = auditing_in(session, worker)
    found = []
    for job_id in jobs:
        if job_id in auditing:
            continue
        question, runtime, needs = asked(session, job_id)
        mine = devices_for(worker, needs, runtime)
        if mine and panel.can_be_audited(job_id, question, runtime, mine[0].numerics_class, worker.owner):
            found.append(job_id)
    return found


class Asked(NamedTuple):
    """What a running job asks of who works for it."""

    question: Question
    """What of its contract decides its lane."""
    runtime: str
    needs: Needs


_asked: dict[str, Asked] = {}
_MOST_ASKED = 4096


def asked(session: Session, job_id: str) -> Asked:
    """What a running job asks: it does not change, and reading a contract of thousands of channels and a manifest of
    thousands of files for every claim would cost more than the claim."""
    if job_id not in _asked:
        if len(_asked) >= _MOST_ASKED:
            _asked.clear()
        job = session.get_one(Job, job_id)
        contract = contract_of(job)
        runtime = f"{contract.class_runtime}-{contract.version}"
        _asked[job_id] = Asked(question_of(contract), runtime, Needs.of(job.spec))
    return _asked[job_id]
