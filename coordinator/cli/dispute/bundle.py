"""The bundle: one zip file (or a folder) with the evidence about a cell, for programs and for people.

evidence.json counts; claimed.raw, recomputed.raw, picture.png and report.txt are made from it for people, and files/
holds the job's files where they were asked for. What is read is hostile until checked: names, sizes and hashes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from coordinator.cli.dispute.pictures import picture
from coordinator.cli.dispute.report import report
from jobs.errors import BadInput
from jobs.evidence import Evidence
from jobs.manifest import Asset
from jobs.spec import explain

__all__ = ["FILES", "read_bundle", "unpack_files", "write_bundle"]

FILES = "files"
_EVIDENCE = "evidence.json"
_MOST_EVIDENCE = 256 << 20
_PIECE = 1 << 20


def write_bundle(target: Path, evidence: Evidence, files: Path | None = None) -> None:
    """Write the zip at `target`, which appears only when it is whole. `files`: the folder with the job's files."""
    parts: dict[str, bytes] = {
        _EVIDENCE: evidence.model_dump_json(indent=1).encode(),
        "claimed.raw": evidence.worker.data,
        "picture.png": picture(evidence),
        "report.txt": report(evidence).encode(),
    }
    if evidence.auditor is not None:
        parts["recomputed.raw"] = evidence.auditor.data
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, data in parts.items():
                bundle.writestr(name, data)
            for asset in evidence.manifest.assets if files is not None else ():
                assert files is not None
                bundle.write(files / asset.path, f"{FILES}/{asset.path}")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def read_bundle(path: Path) -> Evidence:
    """The evidence in a bundle. Raises BadInput, in one line, for whatever is none."""
    try:
        if path.is_dir():
            with (path / _EVIDENCE).open("rb") as file:
                data = file.read(_MOST_EVIDENCE + 1)
        else:
            with zipfile.ZipFile(path) as bundle, bundle.open(_EVIDENCE) as file:
                data = file.read(_MOST_EVIDENCE + 1)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such bundle; `kilnet dispute JOB TILE` makes one") from error
    except KeyError as error:
        raise BadInput(f"{path}: holds no {_EVIDENCE}; give what `kilnet dispute JOB TILE` made") from error
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise BadInput(f"{path}: cannot be read as a bundle ({error})") from error
    if len(data) > _MOST_EVIDENCE:
        raise BadInput(
            f"{path}: its {_EVIDENCE} is larger than {_MOST_EVIDENCE >> 20} MiB; "
            "make it again with `kilnet dispute JOB TILE`"
        )
    try:
        return Evidence.model_validate_json(data)
    except ValidationError as error:
        raise BadInput(f"{path}: {explain(error)}") from error
    except RecursionError as error:
        raise BadInput(
            f"{path}: its {_EVIDENCE} is nested too deeply; make it again with `kilnet dispute JOB TILE`"
        ) from error


def unpack_files(path: Path, evidence: Evidence, folder: Path, given: Path | None) -> None:
    """The job's files into `folder`, out of the bundle or from the folder `given`, each checked against the manifest.

    Raises BadInput where one is missing or another than the manifest says."""
    for asset in evidence.manifest.assets:
        target = folder / asset.path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if given is not None:
                with (given / asset.path).open("rb") as file:
                    _copy(file, target, asset)
            elif path.is_dir():
                with (path / FILES / asset.path).open("rb") as file:
                    _copy(file, target, asset)
            else:
                with zipfile.ZipFile(path) as bundle, bundle.open(f"{FILES}/{asset.path}") as file:
                    _copy(file, target, asset)
        except (KeyError, OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise BadInput(
                f"{asset.path}: the job's file is not here ({error}); make the bundle with --with-files, or name the "
                "folder that holds the job's files with --files"
            ) from error


def _copy(source: IO[bytes] | io.BufferedIOBase, target: Path, asset: Asset) -> None:
    digest, left = hashlib.sha256(), asset.size
    with target.open("wb") as file:
        while piece := source.read(min(_PIECE, left + 1)):
            left -= len(piece)
            if left < 0:
                break
            digest.update(piece)
            file.write(piece)
    if left != 0 or digest.hexdigest() != asset.sha256:
        raise BadInput(
            f"{asset.path}: another file than the job's ({asset.size} bytes, SHA-256 {asset.sha256}); give that one"
        )
