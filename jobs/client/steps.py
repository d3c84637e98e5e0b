"""What a program that runs a pipeline is asked, shown and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jobs.client.transfers import Delivered
from jobs.wire import JobView

__all__ = ["Confirm", "StepChange", "StepResult"]

Confirm = Callable[[Mapping[str, JobView]], bool]
"""Whether to order these jobs, by step; each has its quote."""
StepChange = Callable[[str, JobView], None]
"""Sees a step's job each time that it was looked at."""


@dataclass(frozen=True)
class StepResult:
    """A step that is done."""

    name: str
    job: JobView
    files: tuple[Delivered, ...]
    """In the step's folder: what its job delivered, and what was made of it (`format:`)."""
