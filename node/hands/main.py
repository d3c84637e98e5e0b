"""Redoing work without a gateway: the same worker, the same runners, the same sandbox as a node's."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.contract import Contract
from jobs.errors import BadInput, KilnetError, Unavailable
from jobs.manifest import Asset, SafePath
from jobs.spec import explain
from jobs.states import JobKind, WorkKind
from jobs.tiles import RenderTile, Tile
from jobs.wire import AuditCells, LeaseOffer
from node.agent.failures import failure_of
from node.agent.work import Work, WorkFailed
from node.agent.worker import Worker
from node.canary import CanaryFailed, measured_class
from node.hardware import probe
from node.runner_pool import RunnerPool
from node.runner_process import RunnerFailure
from node.runner_programs import RunnerSettings, choose_launcher

__all__ = ["Request", "redo"]


class _Piece(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tile: Tile
    cells: tuple[int, ...] | None = None


class Request(BaseModel):
    """What is to be redone; see node.hands."""

    model_config = ConfigDict(extra="forbid")

    folder: Path
    main: SafePath
    assets: tuple[Asset, ...]
    contract: Contract
    work: tuple[_Piece, ...] = Field(min_length=1)
    out: Path
    threads: int = Field(default=0, ge=0)
    device: str = "CPU"
    unsandboxed: bool = False


def redo(request: Request) -> dict[str, Any]:
    """The answer of node.hands. Raises BadInput (no sandbox), Unavailable (this machine cannot redo it)."""
    hardware = probe()
    launcher = choose_launcher(unsandboxed=request.unsandboxed)
    settings = RunnerSettings(
        device=request.device, threads=request.threads, memory_bytes=int(hardware.memory_bytes * 0.8)
    )
    with tempfile.TemporaryDirectory(prefix="kilnet-hands-") as scratch:
        pool = RunnerPool(Path(scratch) / "runners", settings, launcher)
        try:
            found = measured_class(request.contract.class_runtime, pool, _canary_folder(), hardware)
            worker = Worker(pool, other_class=True)
            results = [_piece(worker, request, piece, number) for number, piece in enumerate(request.work)]
        except CanaryFailed as error:
            raise Unavailable(str(error)) from error
        except (RunnerFailure, WorkFailed) as error:
            report = failure_of(0, error, "")
            raise Unavailable(f"{report.message} ({report.code})") from error
        finally:
            pool.close()
    return {"numerics_class": found.numerics_class, "score": found.score, "results": results}


def _piece(worker: Worker, request: Request, piece: _Piece, number: int) -> dict[str, Any]:
    work = Work(_lease(request, piece), request.folder.resolve())
    started = time.perf_counter()
    data = worker.tile(work) if piece.cells is None else worker.audit(work)
    seconds = time.perf_counter() - started
    target = request.out.resolve() / f"result-{number}.raw"
    target.write_bytes(data)
    return {"file": str(target), "bytes": len(data), "seconds": round(seconds, 4)}


def _lease(request: Request, piece: _Piece) -> LeaseOffer:
    """A lease that nobody gave: the worker knows no other way to be told what to do."""
    cells = None if piece.cells is None else AuditCells(tile=piece.tile, cells=piece.cells)
    return LeaseOffer(
        id="hands",
        token=0,
        kind=WorkKind.TILE if cells is None else WorkKind.AUDIT,
        job="hands",
        job_kind=JobKind.RENDER if isinstance(piece.tile, RenderTile) else JobKind.INFER,
        expires_at=0,
        expected_seconds=0,
        heartbeat_seconds=1,
        secret_hash="0x" + "00" * 32,
        domain={},
        main=request.main,
        assets=request.assets,
        contract=request.contract,
        tile=piece.tile if cells is None else None,
        audit=cells,
    )


def _canary_folder() -> Path:
    """Where this account keeps what canaries found; the same for every audit."""
    named = os.environ.get("KILNET_CANARY_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else base / "kilnet" / "canary"


def main() -> None:
    """Read a request from stdin, answer on stdout, end with the exit code."""
    try:
        try:
            request = Request.model_validate_json(sys.stdin.buffer.read())
        except ValidationError as error:
            raise BadInput(f"the request: {explain(error)}") from error
        sys.stdout.write(json.dumps(redo(request)) + "\n")
    except KilnetError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None
