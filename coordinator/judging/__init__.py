"""Judging: the upload is checked against its commitment, cells are drawn, and the audit decides.

Files are read outside of transactions; what was decided on them is written under the job's lock, after another look.
"""

from coordinator.judging.confirming import unconfirmed
from coordinator.judging.drawing import draw
from coordinator.judging.redrawing import redraw
from coordinator.judging.verdicts import judge

__all__ = ["draw", "judge", "redraw", "unconfirmed"]
