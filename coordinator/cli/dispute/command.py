"""The command: making a bundle, and verifying one."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.answer import answer
from coordinator.cli.dispute import challenges, proving, rulings
from coordinator.cli.dispute.group import BUNDLE, DisputeGroup
from coordinator.cli.options import Gateway, Json, Key, Unsandboxed
from jobs.errors import BadInput, Refused

if TYPE_CHECKING:
    from coordinator.cli.dispute.again import Again
    from jobs.evidence import Evidence
    from verification.evidence import Finding

__all__ = ["register"]


app = typer.Typer(
    cls=DisputeGroup,
    no_args_is_help=True,
    help="Evidence about a tile (JOB TILE), and what the chain is shown: proofs, challenges, rulings.",
)


def register(program: typer.Typer) -> None:
    """Adds `kilnet dispute`."""
    proving.register(app)
    challenges.register(app)
    rulings.register(app)
    program.add_typer(app, name="dispute")


Attempt = Annotated[
    int | None, typer.Option(min=0, help="Which attempt at the tile. [default: the latest refused one]")
]
Cell = Annotated[int | None, typer.Option(min=0, help="Which cell. [default: the one that differed most]")]
Out = Annotated[Path | None, typer.Option(help="The bundle. [default: dispute-JOB-TILE-ATTEMPT.zip]")]
WithFiles = Annotated[bool, typer.Option("--with-files", help="Put in the job's files too.")]


@app.command(BUNDLE)
def _bundle(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    tile: Annotated[str, typer.Argument(metavar="TILE", help="The tile's number, from 0 on.")],
    attempt: Attempt = None,
    cell: Cell = None,
    out: Out = None,
    with_files: WithFiles = False,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Bundle the evidence about one tile. The word `bundle` may be left out."""
    if not (tile.isascii() and tile.isdigit() and len(tile) < 10):
        raise BadInput(f"{tile!r} is no tile number; `kilnet job {job}` says how many tiles there are, from 0 on")
    _make(job, tile, attempt, cell, out, gateway, key, with_files=with_files, as_json=as_json)


@app.command("lease")
def _lease(
    lease: Annotated[str, typer.Argument(metavar="LEASE", help="The lease of the node's own tile.")],
    cell: Cell = None,
    out: Out = None,
    with_files: WithFiles = False,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Bundle the evidence about a tile of one's own node, with the node's key."""
    _make(None, lease, None, cell, out, gateway, key, with_files=with_files, as_json=as_json)


@app.command("verify")
def _verify_command(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `kilnet dispute JOB TILE` made.")],
    recompute: Annotated[bool, typer.Option("--recompute", help="Compute the cell on this machine.")] = False,
    files: Annotated[Path | None, typer.Option(help="With --recompute: the folder with the job's files.")] = None,
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Check a bundle without trusting anybody."""
    _verify(bundle, files, recompute=recompute, unsandboxed=unsandboxed, as_json=as_json)


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _make(
    job: str | None,
    tile: str,
    attempt: int | None,
    cell: int | None,
    out: Path | None,
    gateway: str | None,
    key: str | None,
    *,
    with_files: bool,
    as_json: bool,
) -> None:
    from coordinator.cli.connection import Access, connect
    from coordinator.cli.dispute.bundle import write_bundle
    from coordinator.cli.dispute.report import report

    with (
        connect(Access(gateway, key), nodes=None, step=_note) as client,
        tempfile.TemporaryDirectory(prefix="kilnet-dispute-") as temporary,
    ):
        if job is None:
            evidence = client.lease_evidence(tile, cell=cell)
        else:
            evidence = client.evidence(job, int(tile), attempt=attempt, cell=cell)
        folder = Path(temporary) if with_files else None
        for asset in evidence.manifest.assets if folder is not None else ():
            assert folder is not None
            (folder / asset.path).parent.mkdir(parents=True, exist_ok=True)
            client.download(asset.sha256, folder / asset.path, size=asset.size)
        target = out or Path(f"dispute-{evidence.job}-{evidence.tile}-{evidence.attempt}.zip")
        write_bundle(target, evidence, folder)
    if as_json:
        answer({"bundle": str(target), **_summary(evidence)})
    else:
        print(report(evidence))
        print(f"{target}: {target.stat().st_size} bytes; anyone can check it: kilnet dispute verify {target}")


def _summary(evidence: Evidence) -> dict[str, object]:
    return {
        "job": evidence.job, "tile": evidence.tile, "attempt": evidence.attempt, "cell": evidence.cell,
        "lane": str(evidence.lane), "verdict": str(evidence.verdict), "reason": evidence.reason,
        "node": evidence.worker.address, "auditor": evidence.auditor.address if evidence.auditor else None,
    }  # fmt: skip


def _verify(path: Path, files: Path | None, *, recompute: bool, unsandboxed: bool, as_json: bool) -> None:
    from coordinator.cli.dispute.again import compute_again
    from coordinator.cli.dispute.bundle import read_bundle, unpack_files
    from verification.evidence import examine

    evidence = read_bundle(path)
    findings = examine(evidence)
    failed = [one for one in findings if not one.held]
    again: Again | None = None
    if recompute and not failed:
        with tempfile.TemporaryDirectory(prefix="kilnet-dispute-") as temporary:
            folder, scratch = Path(temporary) / "job", Path(temporary) / "out"
            folder.mkdir()
            scratch.mkdir()
            unpack_files(path, evidence, folder, files)
            _note("computing the cell on this machine")
            again = compute_again(evidence, folder, scratch, unsandboxed=unsandboxed)
    _tell(evidence, findings, again, as_json=as_json)
    if failed:
        raise Refused(
            f"{path}: {failed[0].name} does not hold: {failed[0].detail}; do not trust this bundle",
            code="evidence_failed",
        )
    if again is not None and again.contradicts:
        raise Refused(
            f"{path}: the verdict does not hold here: {again.says}; ask for a recheck, and keep this bundle",
            code="verdict_contradicted",
        )


def _tell(evidence: Evidence, findings: list[Finding], again: Again | None, *, as_json: bool) -> None:
    if as_json:
        answer(
            {
                **_summary(evidence),
                "ok": all(one.held for one in findings) and not (again is not None and again.contradicts),
                "findings": [one._asdict() for one in findings],
                "recomputed": None if again is None else again._asdict(),
            }
        )
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for one in findings:
        mark = "[green]held[/green]" if one.held else "[red]FAILED[/red]"
        table.add_row(mark, escape(one.name), escape(one.detail))
    console = Console()
    console.print(table)
    console.print(f"verdict: {evidence.verdict} ({evidence.lane}): {evidence.reason}", markup=False)
    if again is not None:
        console.print(again.says, markup=False)
