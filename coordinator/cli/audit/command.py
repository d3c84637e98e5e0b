"""The command: what is checked, in which order, and the table at the end."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json, Key, Unsandboxed

if TYPE_CHECKING:
    from coordinator.cli.audit.checks import Bundle, Check

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds `kilnet audit`."""
    app.command("audit")(_audit)


def _audit(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id, as `kilnet jobs` shows it.")],
    cells: Annotated[int, typer.Option(min=1, help="Cells to redo in each sampled tile.")] = 4,
    tiles: Annotated[int, typer.Option(min=1, help="Tiles to sample.")] = 8,
    save: Annotated[Path | None, typer.Option(help="Also keep what the gateway gave, to prove from it.")] = None,
    unsandboxed: Unsandboxed = False,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Prove a job again on this machine, from the receipts and the scene."""
    from coordinator.cli.audit.checks import check_cover, check_money, check_receipt, read_bundle
    from coordinator.cli.audit.onchain import SOUND, check_chain
    from coordinator.cli.audit.redo import check_again, sample
    from coordinator.cli.connection import Access, connect
    from jobs.errors import Refused

    access = Access(gateway, key, unsandboxed=unsandboxed)
    with (
        connect(access, nodes=None, step=_note) as client,
        tempfile.TemporaryDirectory(prefix="kilnet-audit-") as folder,
    ):
        given = client.bundle(job)
        if save is not None:
            save.write_text(json.dumps(given, indent=1), encoding="utf-8")
        bundle = read_bundle(given)
        chain = client.info().chain
        checks = [check for receipt in bundle.receipts for check in check_receipt(bundle, receipt)]
        checks += check_cover(bundle) + check_money(bundle)
        if chain is not None:
            checks += check_chain(bundle, chain)
        sampled = sample(bundle, tiles)
        checks += check_again(client, bundle, sampled, cells, Path(folder), unsandboxed=unsandboxed, note=_note)
    failed = [check for check in checks if not check.ok]
    notes = _notes(bundle, chain is not None and chain.rpc_url is not None)
    if as_json:
        answer(_report(bundle, checks, [one.tile for one in sampled], notes))
    else:
        _print(checks, notes)
    if failed:
        # What can still be stopped comes first: it names the command that does.
        first = next((check for check in failed if check.name == SOUND), failed[0])
        where = "" if first.tile is None else f" (tile {first.tile})"
        raise Refused(
            f"job {job}: {len(failed)} of {len(checks)} checks failed, the first: {first.name}{where}: {first.detail}",
            code="audit_failed",
        )


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _notes(bundle: Bundle, chain_read: bool) -> list[str]:
    """What was not looked at, in words: silence would read as a proof."""
    notes = []
    if bundle.receipt_root is None:
        notes.append("the job is not settled: secrets, paths and money could not be checked yet")
    if not chain_read:
        notes.append("the gateway names no public chain: price and root were not compared with it")
    return notes


def _report(bundle: Bundle, checks: list[Check], sampled: list[int], notes: list[str]) -> dict[str, Any]:
    return {
        "job": bundle.job,
        "ok": all(check.ok for check in checks),
        "checks": len(checks),
        "receipts": len(bundle.receipts),
        "redone_tiles": sampled,
        "lanes": dict(Counter(str(one.lane) for one in bundle.receipts)),
        "failed": [{"name": one.name, "tile": one.tile, "detail": one.detail} for one in checks if not one.ok],
        "notes": notes,
    }


def _print(checks: list[Check], notes: list[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "check", "held", "detail"):
        table.add_column(title)
    held, total = Counter(one.name for one in checks if one.ok), Counter(one.name for one in checks)
    for name in total:
        details = [one for one in checks if one.name == name]
        shown = next((one for one in details if not one.ok), details[0])
        said = shown.detail if shown.tile is None else f"tile {shown.tile}: {shown.detail}"
        mark = "[green]ok[/green]" if held[name] == total[name] else "[red]FAILED[/red]"
        table.add_row(mark, name, f"{held[name]}/{total[name]}", escape(said))
    console = Console()
    console.print(table)
    for note in notes:
        console.print(f"note: {note}", markup=False)
