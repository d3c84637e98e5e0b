"""The one cell, computed on this machine, against both sides."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from coordinator.cli.audit.hands import redo
from jobs.contract import Lane, RenderContract
from jobs.evidence import Evidence
from jobs.states import Verdict
from verification.compare import compare_cells
from verification.guided import is_near
from verification.limits import limits_for

__all__ = ["Again", "compute_again", "judge_again"]


class Again(NamedTuple):
    """What this machine makes of the cell."""

    numerics_class: str
    same_class: bool
    """As the node's: then bits decide."""
    claim: str
    """accept, reject or escalate: the claimed cell against this machine's."""
    audit: str | None
    """The same of the auditor's, where the cell was audited."""
    contradicts: bool
    """The verdict does not fit what this machine found."""
    says: str


def compute_again(evidence: Evidence, files: Path, scratch: Path, *, unsandboxed: bool) -> Again:
    """Compute the cell from the job's files in the folder `files`, in the sandbox. Raises Unavailable where this
    machine cannot."""
    cells = [evidence.cell]
    [redone] = redo(
        evidence.contract, evidence.manifest, files, [(evidence.spec, cells)], scratch, unsandboxed=unsandboxed
    )
    return judge_again(evidence, redone.cells[evidence.cell], redone.numerics_class)


def judge_again(evidence: Evidence, mine: bytes, numerics_class: str) -> Again:
    """What the bytes `mine`, computed in `numerics_class`, say about both sides."""
    same = numerics_class == evidence.worker.numerics_class
    claim = _against(evidence, evidence.worker.data, mine, evidence.worker.numerics_class, numerics_class)
    audit = None
    if evidence.auditor is not None:
        audit = _against(evidence, evidence.auditor.data, mine, evidence.auditor.numerics_class, numerics_class)
    here = "in the node's own class, by bits" if same else f"in another class ({numerics_class}), by calibrated limits"
    if _guided(evidence):
        here = (
            f"in class {numerics_class}, to a ten-thousandth of each pixel, since path guiding does not always repeat"
        )
    # A refused tile may hold cells that are right: only a cell that the verdict names is evidence against it.
    named = evidence.auditor is not None and evidence.auditor.data != evidence.worker.data
    contradicts = (evidence.verdict is Verdict.ACCEPT and claim is Verdict.REJECT) or (
        evidence.verdict is Verdict.REJECT and named and claim is Verdict.ACCEPT
    )
    said = {Verdict.ACCEPT: "the node's claim came out", Verdict.REJECT: "the node's claim is wrong"}
    words = said.get(claim, "the node's claim can be neither confirmed nor refused here")
    if audit is not None:
        agrees = {Verdict.ACCEPT: "the auditor's cell came out", Verdict.REJECT: "the auditor's cell is wrong"}
        words += f", {agrees.get(audit, 'nor can the audit')}"
    return Again(
        numerics_class, same, str(claim), None if audit is None else str(audit), contradicts,
        f"computed here, {here}: {words}",
    )  # fmt: skip


def _guided(evidence: Evidence) -> bool:
    return isinstance(evidence.contract, RenderContract) and evidence.contract.path_guiding


def _against(evidence: Evidence, data: bytes, mine: bytes, its_class: str, my_class: str) -> Verdict:
    """A cell against this machine's: by bits within one class, else by the limits of a calibrated pair. Of path guiding
    one cell can confirm and never refuse: a few paths that turned otherwise may lie in it, and the rest of the frame
    decides."""
    cell, contract = evidence.cell, evidence.contract
    if isinstance(contract, RenderContract) and contract.path_guiding:
        return Verdict.ACCEPT if is_near(contract, data, mine) else Verdict.ESCALATE
    if its_class == my_class:
        lane, limits = Lane.EXACT, None
    else:
        kind = "render" if evidence.contract.runtime == "blender" else "infer"
        lane, limits = Lane.TOLERANT, limits_for(its_class, my_class, kind)
    return compare_cells(evidence.contract, evidence.spec, lane, {cell: data}, {cell: mine}, limits).verdict
