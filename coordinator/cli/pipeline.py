"""`kilnet pipeline`: the jobs of a pipeline.yaml, one after the other where one needs the other, else at once."""

from __future__ import annotations

import hashlib
import sys
import time
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.options import Gateway, Json, Key, Nodes, Out, Unsandboxed, Yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordinator.cli.display import Display
    from coordinator.cli.intake import Submission
    from jobs.client import Client, Delivered
    from jobs.outputs import Format
    from jobs.pipeline import InferStep, Pipeline, RenderStep
    from jobs.wire import JobView

__all__ = ["register"]

_LOOK_SECONDS = 1.0
_ATTEMPTS = 100
File = Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="Steps, their bounds, and what feeds what.")]

app = typer.Typer(no_args_is_help=True, help="Several jobs from one file: kilnet pipeline --help.")


def register(program: typer.Typer) -> None:
    program.add_typer(app, name="pipeline")


@app.command()
def check(file: File, as_json: Json = False) -> None:
    """Read the file and say in which order its steps run; nothing is sent."""
    from coordinator.cli.answer import answer
    from jobs.pipeline import load_pipeline

    steps = [{"step": step.name, "after": list(step.after)} for step in load_pipeline(file).steps]
    if as_json:
        answer({"steps": steps})
        return
    for step in steps:
        typer.echo(f"{step['step']}" + (f" (after {', '.join(step['after'])})" if step["after"] else ""))


@app.command()
def run(
    file: File,
    out: Out = None,
    yes: Yes = False,
    nodes: Nodes = 1,
    unsandboxed: Unsandboxed = False,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Quote, accept and follow every step; results go to OUT/STEP. Run again, it goes on where it was: what is done
    is neither done nor paid twice."""
    from coordinator.cli.answer import answer
    from coordinator.cli.connection import Access, connect
    from coordinator.cli.display import PlainDisplay
    from coordinator.cli.report import job_report
    from jobs.pipeline import load_pipeline

    pipeline = load_pipeline(file)
    target = out or Path(f"{file.stem}-results")
    asks = not (yes or as_json) and sys.stdin.isatty() and sys.stderr.isatty()
    with connect(Access(gateway, key, unsandboxed=unsandboxed), nodes=nodes, step=PlainDisplay().step) as client:
        info = client.info()
        done = _Run(client, pipeline, target, asks=asks).all()
        if as_json:
            answer({"steps": {name: job_report(one.job, info, delivered=one.files) for name, one in done.items()}})
            return
        for name, one in done.items():
            typer.echo(f"{name}: job {one.job.id} {one.job.state}, {len(one.files)} files in {target / name}")


@dataclass(frozen=True)
class _Done:
    job: JobView
    files: list[Delivered]


@dataclass
class _Run:
    """One run of a pipeline. Steps that can be priced now are quoted before anything is accepted."""

    client: Client
    pipeline: Pipeline
    out: Path
    asks: bool
    done: dict[str, _Done] = field(default_factory=dict)
    committed: Decimal = Decimal(0)
    """USD that the accepted steps may cost at most."""
    _displays: dict[str, Display] = field(default_factory=dict)
    _names: dict[str, tuple[str, ...] | None] = field(default_factory=dict)

    def all(self) -> dict[str, _Done]:
        """Every step's job and files. Raises the first step's error, named; what others have begun goes on."""
        from coordinator.cli.endings import Interrupted

        waiting = list(self.pipeline.steps)
        running: dict[str, str] = {}
        with ExitStack() as stack:
            priced = {step.name: self._quote(stack, step) for step in waiting if not _fed(step)}
            self._accept(list(priced.values()))
            try:
                while waiting or running:
                    for step in [step for step in waiting if set(step.after) <= set(self.done)]:
                        waiting.remove(step)
                        if step.name not in priced:
                            priced[step.name] = self._quote(stack, step)
                            self._accept([priced[step.name]])
                        running[step.name] = priced[step.name].id
                    for name in [name for name, job in running.items() if self._ended(name, job)]:
                        del running[name]
                    time.sleep(_LOOK_SECONDS if running else 0)
            except KeyboardInterrupt:
                raise Interrupted(
                    f"what was accepted goes on; `kilnet pipeline run {self.pipeline.path}` follows it again, "
                    "`kilnet jobs` lists it"
                ) from None
        return {step.name: self.done[step.name] for step in self.pipeline.steps}

    def _ended(self, name: str, job_id: str) -> bool:
        """Show the job; once it has ended bring its files."""
        from coordinator.cli.flow import check_ended, deliver, written
        from jobs.states import JOB_FINAL

        display = self._displays.setdefault(name, _display(name))
        with _named(name):
            job = self.client.job(job_id)
            display.job(job)
            if job.state not in JOB_FINAL:
                return False
            files = deliver(self.client, job, self.out / name, display)
            if files:
                step = next(step for step in self.pipeline.steps if step.name == name)
                files += written(files, self.out / name, self._names.get(name), _format(step))
            check_ended(job)
        self.done[name] = _Done(job, files)
        return True

    def _quote(self, stack: ExitStack, step: RenderStep | InferStep) -> JobView:
        from coordinator.cli.flow import quoted
        from jobs.states import JobState

        display = _display(step.name)
        with _named(step.name), self._submission(step, display) as ready:
            self._names[step.name] = ready.names
            for attempt in range(_ATTEMPTS):
                inner = ExitStack()
                job = inner.enter_context(quoted(self.client, ready, display, idempotency_key=_key(ready, attempt)))
                if job.state not in (JobState.FAILED, JobState.CANCELLED):
                    stack.push(inner)
                    return job
                inner.close()
        raise _too_often(step.name)

    def _accept(self, jobs: list[JobView]) -> None:
        """All of them or none. Raises BadInput over the pipeline's cap, Refused where the answer is no."""
        from coordinator.cli.flow import accept
        from jobs.errors import BadInput, Refused
        from jobs.states import JobState

        total = sum((Decimal(job.quote.cap_usd) for job in jobs if job.quote is not None), Decimal(0))
        cap = self.pipeline.cap_usd
        if cap is not None and self.committed + total > cap:
            raise BadInput(
                f"{self.pipeline.path}: the steps may cost {self.committed + total:f} USD, above cap_usd {cap:f}; "
                "raise it, or ask for less"
            )
        new = [job for job in jobs if job.state is JobState.QUOTED]
        for job in new:
            assert job.quote is not None
            told = f"{job.quote.price_usd} USD, never more than {job.quote.cap_usd}; {job.quote.tiles} tiles"
            _display(job.name).note(told)
        if new and self.asks:
            print(f"Accept, for at most {total:f} USD in all? [Y/n] ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline()
            if answer == "" or answer.strip().lower() not in ("", "y", "yes"):
                raise Refused("not accepted; nothing was charged", code="declined")
        for job in new:
            accept(self.client, job, deadline_s=self._deadline(job), ask=None)
        self.committed += total

    def _deadline(self, job: JobView) -> int:
        from jobs.pipeline import RenderStep
        from jobs.spec import InferSpec

        step = next(step for step in self.pipeline.steps if step.name == job.name)
        if isinstance(step, RenderStep):
            return step.spec.deadline_s
        return int(step.fields.get("deadline_s", InferSpec.model_fields["deadline_s"].default))

    def _pictures(self, step: InferStep) -> Path:
        """The folder with the pictures of the step's source."""
        from jobs.errors import BadInput
        from jobs.pipeline import RenderStep

        folder = self.out / str(step.source)
        source = next(one for one in self.pipeline.steps if one.name == step.source)
        if isinstance(source, RenderStep):
            return folder
        made = sorted(path for path in folder.iterdir() if path.is_dir())
        if step.source_output is not None:
            made = [path for path in made if path.name == step.source_output]
        if len(made) != 1:
            there = ", ".join(path.name for path in sorted(folder.iterdir()) if path.is_dir()) or "none"
            raise BadInput(
                f"{step.source} makes pictures of {there}; name one: inputs: {{from: {step.source}, output: NAME}}"
            )
        return made[0]

    def _submission(self, step: RenderStep | InferStep, display: Display) -> AbstractContextManager[Submission]:
        from coordinator.cli.intake import batch_submission, render_submission
        from jobs.pipeline import RenderStep

        if isinstance(step, RenderStep):
            return render_submission(step.scene, step.spec, display)
        inputs = step.inputs or self._pictures(step)
        return batch_submission(step.model, inputs, step.fields, resize=step.resize, size=step.size, display=display)


def _format(step: RenderStep | InferStep) -> Format:
    from jobs.outputs import Format
    from jobs.pipeline import InferStep

    return step.format if isinstance(step, InferStep) else Format.NPZ


def _fed(step: RenderStep | InferStep) -> bool:
    from jobs.pipeline import InferStep

    return isinstance(step, InferStep) and step.source is not None


def _key(ready: Submission, attempt: int) -> str:
    """The same for the same work, so that a pipeline that is run again finds its jobs."""
    told = f"{ready.spec.model_dump_json()}{ready.manifest.model_dump_json()}{attempt}"
    return hashlib.sha256(told.encode()).hexdigest()[:40]


def _too_often(step: str) -> Exception:
    from jobs.errors import Refused

    return Refused(
        f"step {step}: the same work failed or was cancelled {_ATTEMPTS} times; change it before another try"
    )


@contextmanager
def _named(step: str) -> Iterator[None]:
    """Errors say which step they are of."""
    from jobs.errors import KilnetError

    try:
        yield
    except KilnetError as error:
        error.args = (f"step {step}: {error}", *error.args[1:])
        raise


def _display(step: str) -> Display:
    """Plain lines, each with its step: several jobs are under way."""
    from coordinator.cli.display import PlainDisplay

    return PlainDisplay(prefix=f"{step}: ")
