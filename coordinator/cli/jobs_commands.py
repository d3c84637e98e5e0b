"""`kilnet jobs`, `job`, `change`, `cancel`, `pause`, `resume`, `approve`, `reject`, `watch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json, Key
from jobs.errors import BadInput

if TYPE_CHECKING:
    from jobs.wire import JobView

__all__ = ["register"]

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, as `kilnet jobs` shows it.")]


def register(app: typer.Typer) -> None:
    """Adds the commands that look after jobs."""
    app.command("jobs")(_jobs)
    app.command("job")(_job)
    app.command("change")(_change)
    app.command("cancel")(_cancel)
    app.command("pause")(_pause)
    app.command("resume")(_resume)
    app.command("approve")(_approve)
    app.command("reject")(_reject)
    app.command("watch")(_watch)


def _jobs(gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """Your jobs."""
    from rich.console import Console

    from coordinator.cli.connection import Access, connect
    from coordinator.cli.report import jobs_table

    with connect(Access(gateway, key), nodes=None) as client:
        jobs = client.jobs()
    if as_json:
        answer({"jobs": [job.model_dump(mode="json") for job in jobs]})
    elif jobs:
        Console().print(jobs_table(jobs))
    else:
        print("no jobs yet; `kilnet render SCENE.blend` makes one")


def _job(job: Job, gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """One job: state, proof, money, files."""
    from coordinator.cli.connection import Access, connect

    with connect(Access(gateway, key), nodes=None) as client:
        view, info, outputs = client.job(job), client.info(), client.outputs(job)
    if as_json:
        from coordinator.cli.report import job_report

        answer(job_report(view, info, outputs=outputs))
    else:
        from rich.console import Console

        from coordinator.cli.report import job_table

        Console().print(job_table(view, info, [one.path for one in outputs]))


def _change(
    job: Job,
    priority: Annotated[
        int | None, typer.Option(help="Among your own jobs, the higher first: -100 to 100; a new job has 0.")
    ] = None,
    cap: Annotated[
        str | None,
        typer.Option(
            metavar="USD", help="Spend at most this, up to what is in escrow; the job waits when it is reached."
        ),
    ] = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Change a job that has not ended: its place among your own jobs, or its cap."""
    from coordinator.cli.connection import Access, connect
    from coordinator.cli.options import parse_usd

    if priority is None and cap is None:
        raise BadInput("nothing to change: give --priority or --cap")
    if priority is not None and not -100 <= priority <= 100:
        raise BadInput(f"--priority {priority}: write a number from -100 to 100")
    amount = parse_usd("--cap", cap)
    with connect(Access(gateway, key), nodes=None) as client:
        view, info = client.change(job, priority=priority, cap_usd=amount), client.info()
    if as_json:
        from coordinator.cli.report import job_report

        answer(job_report(view, info))
    else:
        held = view.quote.cap_usd if view.quote else "0"
        print(f"job {view.id}: priority {view.priority}, at most {view.lowered_cap_usd or held} USD ({held} in escrow)")


def _cancel(job: Job, gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """End a job: what has passed is paid, the rest refunded."""
    _act("cancel", job, gateway, key, as_json=as_json)


def _pause(job: Job, gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """Start nothing more of a job, until it is resumed."""
    _act("pause", job, gateway, key, as_json=as_json)


def _resume(job: Job, gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """Go on with a paused job."""
    _act("resume", job, gateway, key, as_json=as_json)


def _approve(job: Job, gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """Go on after the preview: the rest of the job is rendered."""
    _act("approve", job, gateway, key, as_json=as_json)


def _reject(job: Job, gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """End a job because of its preview: what was rendered of it is paid, the rest refunded."""
    _act("reject", job, gateway, key, as_json=as_json)


def _act(verb: str, job: str, gateway: str | None, key: str | None, *, as_json: bool) -> None:
    from coordinator.cli.connection import Access, connect

    with connect(Access(gateway, key), nodes=None) as client:
        view: JobView = getattr(client, verb)(job)
        info = client.info()
    if as_json:
        from coordinator.cli.report import job_report

        answer(job_report(view, info))
    else:
        print(f"job {view.id} is {view.state}")


def _watch(
    job: Job,
    out: Annotated[Path | None, typer.Option(help="Bring the results into this folder when the job is done.")] = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Follow a job until it has ended."""
    from rich.console import Console

    from coordinator.cli.connection import Access, connect
    from coordinator.cli.display import make_display
    from coordinator.cli.flow import deliver, follow
    from coordinator.cli.report import job_report, job_table
    from jobs.client.outcome import check_ended

    display = make_display()
    try:
        with connect(Access(gateway, key), nodes=None, step=display.step) as client:
            view, info = follow(client, job, display), client.info()
            delivered = deliver(client, view, out, display) if out is not None else []
            outputs = client.outputs(job)
    finally:
        display.close()
    if as_json:
        answer(job_report(view, info, delivered=delivered, outputs=outputs))
    else:
        Console().print(job_table(view, info, [str(one.path) for one in delivered] or [one.path for one in outputs]))
    check_ended(view)
