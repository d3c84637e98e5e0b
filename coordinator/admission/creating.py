"""A new job: its files are here, it is within the account's limits, and it is the same however often it is sent."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from pathlib import PurePosixPath

from eth_utils.address import to_checksum_address
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordinator.auth import count_job
from coordinator.blobs import link_all, missing, touch
from coordinator.config import Limits, Settings
from coordinator.errors import Conflict, SlowDown, Unprocessable
from coordinator.events import record
from coordinator.store.database import Database
from coordinator.store.models import Account, Job
from coordinator.tasks import hint_after_commit
from jobs.manifest import Manifest
from jobs.spec import InferSpec, RenderSpec
from jobs.states import JobState
from jobs.wire import BlobQuery, CreateJob

__all__ = ["create_job"]

_SUFFIX = {"render": ".blend", "infer": ".onnx"}
_SHARD = re.compile(r"inputs/(\d{5,})\.npz(?:\.zst)?")


def create_job(db: Database, settings: Settings, *, owner: str, body: CreateJob, api_key: str | None = None) -> str:
    """Write the job down and have it admitted; its id. The same idempotency key gives the same job. It counts towards
    the quota of `api_key`, the key it came by.

    Raises Unprocessable (a file or the batch does not fit the spec), Conflict `blobs_missing`, `other_job` (the
    idempotency key was sent before with something else), SlowDown."""
    owner = to_checksum_address(owner)
    _check(body.spec, body.manifest)

    def write(session: Session) -> str:
        return _create(session, settings.limits, owner, body, api_key, db.now())

    try:
        return db.transact(write)
    except IntegrityError:  # the same key twice at once
        return db.transact(write)


def _check(spec: RenderSpec | InferSpec, manifest: Manifest) -> None:
    if PurePosixPath(manifest.main).suffix.lower() != _SUFFIX[spec.kind]:
        raise Unprocessable(
            f"manifest.main: a {spec.kind} job needs a {_SUFFIX[spec.kind]} file, not {manifest.main!r}; name that one"
        )
    if isinstance(spec, InferSpec):
        matches = (_SHARD.fullmatch(asset.path) for asset in manifest.assets)
        numbers = sorted(int(match[1]) for match in matches if match)
        expected = math.ceil(spec.items / spec.shard_items)
        if len(numbers) != expected or numbers[-1] != expected - 1 or len(set(numbers)) != expected:
            raise Unprocessable(
                f"manifest.assets: {spec.items} items in shards of {spec.shard_items} are {expected} files "
                f"inputs/00000.npz and on (or .npz.zst), each number once; there are {len(numbers)}"
            )


def _create(session: Session, limits: Limits, owner: str, body: CreateJob, api_key: str | None, now: float) -> str:
    request = hashlib.sha256(f"{body.spec.model_dump_json()}{body.manifest.model_dump_json()}".encode()).hexdigest()
    known = session.execute(
        select(Job.id, Job.request_sha256).where(Job.owner == owner, Job.idempotency_key == body.idempotency_key)
    ).one_or_none()
    if known is not None:
        if known.request_sha256 not in (None, request):
            raise Conflict(
                f"the idempotency key {body.idempotency_key!r} is that of job {known.id}, which asks for something "
                "else; take a new key for a new job",
                code="other_job",
            )
        job_id: str = known.id
        return job_id
    _within_limits(session, limits, owner, now)
    if api_key is not None:
        count_job(session, api_key, now=now)
    blobs = {asset.sha256: asset.size for asset in body.manifest.assets}
    absent = missing(session, [BlobQuery(sha256=sha, size=size) for sha, size in blobs.items()], owner)
    if absent:
        names = {asset.sha256: asset.path for asset in body.manifest.assets}
        raise Conflict(
            f"{len(absent)} files are not uploaded yet, the first is {names[absent[0].sha256]!r}; "
            "ask /v1/blobs/missing and upload them",
            code="blobs_missing",
        )
    if session.get(Account, owner) is None:
        session.add(Account(address=owner, created_at=now))
        session.flush()
    job = Job(
        id=f"j{secrets.token_hex(8)}",
        owner=owner,
        idempotency_key=body.idempotency_key,
        request_sha256=request,
        made_with=api_key,
        kind=body.spec.kind,
        name=body.spec.name or PurePosixPath(body.manifest.main).stem[:200],
        spec=body.spec.model_dump(mode="json"),
        manifest=body.manifest.model_dump(mode="json"),
        state=str(JobState.ADMITTING),
        created_at=now,
    )
    session.add(job)
    session.flush()
    touch(session, owner, sorted(blobs))
    link_all(session, job.id, blobs, "asset")
    record(session, job.id, "job", {"id": job.id, "state": job.state})
    hint_after_commit(session, "admit", job.id)
    return job.id


def _within_limits(session: Session, limits: Limits, owner: str, now: float) -> None:
    """Quotes cost trusted compute."""
    waiting = session.scalar(
        select(func.count()).where(Job.owner == owner, Job.state.in_([str(JobState.ADMITTING), str(JobState.QUOTED)]))
    )
    if (waiting or 0) >= limits.jobs_per_account_waiting:
        raise SlowDown(
            f"{waiting} jobs of yours wait for a quote or for your answer (at most "
            f"{limits.jobs_per_account_waiting}): accept or cancel some",
            retry_after=60,
        )
    hour = select(func.count(), func.min(Job.created_at)).where(Job.owner == owner, Job.created_at > now - 3600)
    count, first = session.execute(hour).one()
    if count >= limits.quotes_per_hour:
        raise SlowDown(
            f"{count} quotes within the last hour (at most {limits.quotes_per_hour}): try again later",
            retry_after=first + 3600 - now,
        )
