"""Admission: from what a client sends to a price it can say yes to; and how it steers the job from there."""

from coordinator.admission.admitting import admit
from coordinator.admission.changing import change
from coordinator.admission.creating import create_job
from coordinator.admission.ordering import accept
from coordinator.admission.steering import approve, cancel, deadlines, pause, reject, resume

__all__ = ["accept", "admit", "approve", "cancel", "change", "create_job", "deadlines", "pause", "reject", "resume"]
