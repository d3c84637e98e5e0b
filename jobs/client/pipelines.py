"""A pipeline's jobs: quoted, ordered all or none, and what one delivers fed to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from decimal import Decimal
from functools import partial
from pathlib import Path

from jobs.client import transfers
from jobs.client.account import Account
from jobs.client.effects import Afterwards, Program, Sleep, Tell, Work
from jobs.client.outcome import NOT_DELIVERED, check_ended, check_folder, check_price, written
from jobs.client.steps import Confirm, StepChange, StepResult
from jobs.client.transfers import Delivered
from jobs.errors import BadInput, KilnetError, Refused
from jobs.outputs import Format
from jobs.pipeline import InferStep, Pipeline, RenderStep
from jobs.pricing import display_kiln
from jobs.states import JOB_FINAL, JobState
from jobs.submission import Submission, batch_submission, scene_submission
from jobs.wire import AccountView, JobView

__all__ = ["run_pipeline"]

_LOOK_SECONDS = 1.0
_ATTEMPTS = 100
_GRACE_SECONDS = 60.0
"""The gateway itself ends an admission at the deadline, and says why: that answer is waited for."""


def run_pipeline(
    account: Account, pipeline: Pipeline, out: Path, *, confirm: Confirm, on_change: StepChange
) -> Program[None]:
    """Tells each step's StepResult as it ends. What is raised is said at jobs.client.Client."""
    return _Run(account, pipeline, out, confirm, on_change).steps()


class _Run:
    """One run of a pipeline. Steps that can be priced now are quoted before anything is ordered."""

    def __init__(
        self, account: Account, pipeline: Pipeline, out: Path, confirm: Confirm, on_change: StepChange
    ) -> None:
        self._account, self._pipeline, self._out = account, pipeline, out
        self._confirm, self._on_change = confirm, on_change
        self._by_name = {step.name: step for step in pipeline.steps}
        self._quoted: set[str] = set()
        """Jobs that nobody has said yes to."""
        self._ordered: dict[str, str] = {}
        """By step, the job that has not ended."""
        self._done: dict[str, StepResult] = {}
        self._committed = Decimal(0)
        """USD that the ordered steps may cost at most."""
        self._ready: dict[str, tuple[int, tuple[str, ...] | None]] = {}
        """By step: seconds to the deadline, and what the items are called."""

    def steps(self) -> Program[None]:
        yield Afterwards(self._withdraw())
        try:
            yield from self._all()
        except KilnetError as error:
            if self._ordered:
                begun = ", ".join(f"{name} (job {job})" for name, job in self._ordered.items())
                told = f"what was ordered goes on ({begun}): run the pipeline again to follow it"
                error.args = (f"{error}; {told}", *error.args[1:])
            raise

    def _all(self) -> Program[None]:
        for name in self._by_name:
            check_folder(self._out / name)
        waiting = list(self._pipeline.steps)
        quotes: dict[str, JobView] = {}
        for step in waiting:
            if not _fed(step):
                quotes[step.name] = yield from self._quote(step)
        yield from self._order(quotes)
        running: dict[str, str] = {}
        while waiting or running:
            for step in [step for step in waiting if set(step.after) <= set(self._done)]:
                waiting.remove(step)
                if step.name not in quotes:
                    quotes[step.name] = yield from self._quote(step)
                    yield from self._order({step.name: quotes[step.name]})
                running[step.name] = quotes[step.name].id
            ended = False
            for name, job in list(running.items()):
                result = yield from self._look(name, job)
                if result is not None:
                    del running[name]
                    self._done[name], ended = result, True
                    yield Tell(result)
            if running and not ended:
                yield Sleep(_LOOK_SECONDS)

    def _quote(self, step: RenderStep | InferStep) -> Program[JobView]:
        """The job of this very work, however far it is; a new one where there is none, or it came to nothing."""
        with _named(step.name), ExitStack() as stack:
            ready: Submission = yield Work(lambda: stack.enter_context(self._submission(step)))
            self._ready[step.name] = (ready.spec.deadline_s, ready.names)
            yield from transfers.upload(self._account.calls, ready.manifest, ready.sources)
            yield Work(stack.close)
            for attempt in range(_ATTEMPTS):
                job = yield from self._account.create_job(
                    ready.spec, ready.manifest, idempotency_key=_key(ready, attempt)
                )
                if job.state in (JobState.FAILED, JobState.CANCELLED):
                    continue
                self._quoted.add(job.id)
                patience, seen = ready.spec.deadline_s + _GRACE_SECONDS, partial(self._on_change, step.name)
                job = yield from self._account.wait_quote(job.id, timeout=patience, on_change=seen)
                if job.state is JobState.QUOTED:
                    check_price(job, ready.spec.max_price_usd)
                return job
            raise Refused(f"the same work failed or was cancelled {_ATTEMPTS} times; change it before another try")

    def _order(self, jobs: Mapping[str, JobView]) -> Program[None]:
        """All of them or none. Raises BadInput over the pipeline's cap or the balance, Refused where the answer is
        no."""
        total = sum((_cap(job) for job in jobs.values()), Decimal(0))
        cap = self._pipeline.cap_usd
        if cap is not None and self._committed + total > cap:
            raise BadInput(
                f"{self._pipeline.path}: the steps may cost {self._committed + total:f} USD, above cap_usd {cap:f}; "
                "raise it, or ask for less"
            )
        new = {name: job for name, job in jobs.items() if job.state is JobState.QUOTED}
        for name, job in jobs.items():
            if name not in new:
                self._is_ordered(name, job)
        if new:
            yield from self._affordable(new)
            # Whoever is asked may take their time, and an event loop must not stand still meanwhile.
            if not (yield Work(lambda: self._confirm(new))):
                raise Refused(f"not accepted; nothing was charged for {', '.join(new)}", code="declined")
        for name, job in new.items():
            with _named(name):
                ordered = yield from self._account.accept(job, deadline_s=self._ready[name][0])
            self._is_ordered(name, ordered)
        self._committed += total

    def _is_ordered(self, name: str, job: JobView) -> None:
        self._quoted.discard(job.id)
        if job.state not in JOB_FINAL:
            self._ordered[name] = job.id

    def _affordable(self, jobs: Mapping[str, JobView]) -> Program[None]:
        """Raises BadInput where the account can pay for none or only some."""
        account: AccountView = yield from self._account.get(AccountView, "/v1/accounts/me")
        needed = sum(job.quote.cap for job in jobs.values() if job.quote is not None)
        if account.balance < needed:
            raise BadInput(
                f"{self._pipeline.path}: the account {account.address} holds {display_kiln(account.balance)} KILN and "
                f"the steps {', '.join(jobs)} need {display_kiln(needed)}; send it more",
                code="balance_too_low",
            )

    def _look(self, name: str, job_id: str) -> Program[StepResult | None]:
        """Once the job has ended its files; None before."""
        with _named(name):
            job: JobView = yield from self._account.get(JobView, f"/v1/jobs/{job_id}")
            self._on_change(name, job)
            if job.state not in JOB_FINAL:
                return None
            self._ordered.pop(name, None)
            folder, step = self._out / name, self._by_name[name]
            files: list[Delivered] = yield from self._account.download_outputs(
                job.id, folder, only=lambda output: output.kind not in NOT_DELIVERED, progress=None
            )
            wanted = step.format if isinstance(step, InferStep) else Format.NPZ
            if files:
                files += yield Work(lambda: written(files, folder, self._ready[name][1], wanted))
            check_ended(job)
        return StepResult(name, job, tuple(files))

    def _withdraw(self) -> Program[None]:
        """Cancel the jobs that nobody said yes to."""
        for job_id in sorted(self._quoted):
            with suppress(KilnetError):
                job: JobView = yield from self._account.get(JobView, f"/v1/jobs/{job_id}")
                if job.state in (JobState.ADMITTING, JobState.QUOTED):
                    yield from self._account.post(JobView, f"/v1/jobs/{job_id}/cancel")

    def _submission(self, step: RenderStep | InferStep) -> AbstractContextManager[Submission]:
        if isinstance(step, RenderStep):
            return scene_submission(step.scene, step.spec)
        inputs, only = (step.inputs, None) if step.inputs is not None else self._pictures(step)
        return batch_submission(step.model, inputs, step.fields, resize=step.resize, size=step.size, only=only)

    def _pictures(self, step: InferStep) -> tuple[Path, set[str]]:
        """The folder with the pictures of the step's source, and which of its files they are: there may be others from
        a run before."""
        source = str(step.source)
        files = self._done[source].files
        if isinstance(self._by_name[source], RenderStep):
            return self._out / source, {file.path.name for file in files}
        folders = _folders(files)
        if step.source_output is not None:
            folders = [folder for folder in folders if folder.name == step.source_output]
        if len(folders) != 1:
            there = ", ".join(folder.name for folder in _folders(files)) or "none"
            raise BadInput(f"{source} makes pictures of {there}; name one: inputs: {{from: {source}, output: NAME}}")
        return folders[0], {file.path.name for file in files if file.path.parent == folders[0]}


def _folders(files: Sequence[Delivered]) -> list[Path]:
    """One for each output that is pictures."""
    return sorted({file.path.parent for file in files if file.kind == Format.IMAGES})


def _fed(step: RenderStep | InferStep) -> bool:
    return isinstance(step, InferStep) and step.source is not None


def _cap(job: JobView) -> Decimal:
    return Decimal(0) if job.quote is None else Decimal(job.quote.cap_usd)


def _key(ready: Submission, attempt: int) -> str:
    """The same for the same work, so that a pipeline that is run again finds its jobs."""
    told = f"{ready.spec.model_dump_json()}{ready.manifest.model_dump_json()}{attempt}"
    return hashlib.sha256(told.encode()).hexdigest()[:40]


@contextmanager
def _named(step: str) -> Iterator[None]:
    """Errors say which step they are of."""
    try:
        yield
    except KilnetError as error:
        error.args = (f"step {step}: {error}", *error.args[1:])
        raise
