"""`kilnet pipeline`: the jobs of a pipeline.yaml, one after the other where one needs the other, else at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.options import Gateway, Json, Key, Nodes, Out, Unsandboxed, Yes

if TYPE_CHECKING:
    from coordinator.cli.display import Display
    from jobs.wire import JobView

__all__ = ["register"]

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
    from coordinator.cli.endings import Interrupted
    from coordinator.cli.report import job_report
    from jobs.pipeline import load_pipeline

    pipeline = load_pipeline(file)
    target = out or Path(f"{file.stem}-results")
    terminal = _Terminal(asks=not (yes or as_json) and sys.stdin.isatty() and sys.stderr.isatty())
    with connect(Access(gateway, key, unsandboxed=unsandboxed), nodes=nodes, step=PlainDisplay().step) as client:
        info = client.info()
        try:
            steps = client.run_pipeline(pipeline, target, confirm=terminal.confirm, on_change=terminal.show)
            ended = {step.name: step for step in steps}
        except KeyboardInterrupt:
            if not terminal.ordered:
                raise
            raise Interrupted(
                f"what was accepted goes on; `kilnet pipeline run {file}` follows it again, `kilnet jobs` lists it"
            ) from None
        done = [ended[step.name] for step in pipeline.steps]
        if as_json:
            answer({"steps": {one.name: job_report(one.job, info, delivered=one.files) for one in done}})
            return
        for one in done:
            typer.echo(f"{one.name}: job {one.job.id} {one.job.state}, {len(one.files)} files in {target / one.name}")


class _Terminal:
    """What is shown of a run, and asked: plain lines, each with its step, since several jobs are under way."""

    def __init__(self, *, asks: bool) -> None:
        self._asks = asks
        self._displays: dict[str, Display] = {}
        self.ordered = False
        """Whether something may be ordered by now."""

    def show(self, step: str, job: JobView) -> None:
        from jobs.states import JobState

        self.ordered |= job.state not in (JobState.ADMITTING, JobState.QUOTED)
        self._display(step).job(job)

    def confirm(self, quotes: Mapping[str, JobView]) -> bool:
        total = Decimal(0)
        for step, job in quotes.items():
            assert job.quote is not None
            total += Decimal(job.quote.cap_usd)
            told = f"{job.quote.price_usd} USD, never more than {job.quote.cap_usd}; {job.quote.tiles} tiles"
            self._display(step).note(told)
        if self._asks:
            print(f"Accept, for at most {total:f} USD in all? [Y/n] ", end="", file=sys.stderr, flush=True)
            said = sys.stdin.readline()
            if said == "" or said.strip().lower() not in ("", "y", "yes"):
                return False
        self.ordered = True
        return True

    def _display(self, step: str) -> Display:
        from coordinator.cli.display import PlainDisplay

        return self._displays.setdefault(step, PlainDisplay(prefix=f"{step}: "))
