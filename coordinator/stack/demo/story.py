"""The demonstration from its first line to its last."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console

from coordinator.cli.display import Display, make_display
from coordinator.stack.demo import show
from coordinator.stack.demo.acts import ITEMS, Act, animation, batch, make_batch, read_batch, still
from coordinator.stack.demo.people import HONEST, Cast, cheating_node, wait_for_nodes
from coordinator.stack.demo.proofs import Claim, prove
from coordinator.stack.doctor import sandbox_check
from coordinator.stack.layout import Layout
from coordinator.stack.local import LocalStack, temporary_stack
from jobs.client import Client
from jobs.errors import BadInput, JobFailed
from jobs.planner import PlanPolicy

__all__ = ["run_demo"]

_PICTURES = 1 + 4
_PLAN = PlanPolicy(nodes=3, min_tile_seconds=0.2, audit_share=0.5)
"""The jobs here take seconds: cut as usual, they would be one tile each, and the proof a small part of it."""


def run_demo(out: Path) -> None:
    """Everything, on this machine, with results in `out`. Raises JobFailed, naming what, where any of it did not
    happen."""
    console = Console(highlight=False)
    started = time.monotonic()
    _check_out(out)
    sandbox = sandbox_check()
    if not sandbox.ok:
        console.print(f"[yellow]No sandbox here ({sandbox.found}): our own samples run without one.[/yellow]")
        console.print(f"To have it: {sandbox.remedy}", markup=False)
    with tempfile.TemporaryDirectory(prefix="kilnet-demo-", ignore_cleanup_errors=True) as folder:
        layout = Layout(Path(folder) / "stack")
        try:
            claims = _play(console, layout, Path(folder) / "batch", out, unsandboxed=not sandbox.ok)
        except BaseException:
            _keep_logs(layout, out)
            raise
        failed = [claim for claim in claims if not claim.held]
        if failed:
            _keep_logs(layout, out)
    console.rule("What was claimed, and checked", align="left")
    show.claims(console, claims)
    if failed:
        raise JobFailed(f"the demonstration did not hold: {failed[0].text}; see its logs in {out / 'logs'}")
    console.print(f"\nAll of it held, in {time.monotonic() - started:.0f} s. Pictures and predictions are in {out}/")


def _play(console: Console, layout: Layout, folder: Path, out: Path, *, unsandboxed: bool) -> list[Claim]:
    console.rule("The stack: broker, database, chain, gateway, tasks, a trusted worker, three nodes", align="left")
    drawing = make_batch(folder)
    try:
        started = time.monotonic()
        with (
            temporary_stack(nodes=len(HONEST), data=layout.data, unsandboxed=unsandboxed, plan=_PLAN) as stack,
            Client(stack.gateway_url, str(stack.key_file)) as client,
        ):
            cast = Cast.read(layout)
            with cheating_node(stack, "node-3", unsandboxed=unsandboxed):
                wait_for_nodes(layout, ("trusted", *HONEST))
                made = read_batch(folder, drawing)
                console.print(f"up in {time.monotonic() - started:.0f} s at {stack.gateway_url}")
                show.cast(console, cast)
                acts = [_act(console, cast, "A still, in 6 tiles x 2 sample ranges", still, client, out / "still")]
                show.standing(console, layout, cast, "node-3")
                acts.append(_act(console, cast, "An animation", animation, client, out / "animation"))
            with cheating_node(stack, "node-4", unsandboxed=unsandboxed):
                title = f"A batch: {ITEMS} lines of text, read by a network"
                acts.append(_act(console, cast, title, partial(batch, made), client, out / "batch"))
            show.predictions(console, made, acts[-1])
            console.rule("The settlement", align="left")
            show.settlement(console, cast, acts, client.info().kiln_per_usd)
            audited = [_audit(console, stack, act, unsandboxed=unsandboxed) for act in acts]
            return [*prove(layout, cast, acts, _PICTURES), *audited]
    finally:
        drawing.kill()
        drawing.wait()


def _act(
    console: Console, cast: Cast, title: str, play: Callable[[Client, Path, Display], Act], client: Client, out: Path
) -> Act:
    console.rule(title, align="left")
    display = make_display()
    try:
        act = play(client, out, display)
    finally:
        display.close()
    show.refusals(console, cast, act)
    return act


def _audit(console: Console, stack: LocalStack, act: Act, *, unsandboxed: bool) -> Claim:
    """`kilnet audit`, as anybody would call it: a program apart that trusts no word of the coordinator."""
    console.rule(f"kilnet audit, on the {act.title}", align="left")
    command = [sys.executable, "-m", "coordinator.cli.main", "audit", act.job.id, "--gateway", stack.gateway_url]
    command += ["--key", str(stack.key_file)]
    if unsandboxed:
        command.append("--unsandboxed")
    sys.stdout.flush()
    status = subprocess.run(command, check=False).returncode
    return Claim(f"kilnet audit proved the {act.title} again", status == 0)


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise BadInput(f"--out {out}: is a file; name a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in ("still", "animation", "batch", "logs"):
            shutil.rmtree(out / old, ignore_errors=True)
    except OSError as error:
        raise BadInput(f"--out {out}: cannot be made ({error.strerror}); choose another folder") from error


def _keep_logs(layout: Layout, out: Path) -> None:
    if layout.logs.is_dir():
        shutil.copytree(layout.logs, out / "logs", dirs_exist_ok=True)
