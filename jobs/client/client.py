"""The client: one object for all that an artist or a studio asks of a gateway."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from jobs.client import transfers
from jobs.client.events import JobEvent, follow
from jobs.client.key import read_key
from jobs.client.orders import signed_order
from jobs.client.transfers import Delivered, Progress
from jobs.client.transport import Transport
from jobs.errors import BadInput, JobFailed, Refused, Unavailable
from jobs.evidence import Evidence
from jobs.manifest import Manifest
from jobs.pricing import display_kiln
from jobs.spec import InferSpec, RenderSpec
from jobs.states import JOB_FINAL, JobState
from jobs.wire import (
    AccountView,
    ApiKeyCreated,
    ApiKeyView,
    CreateApiKey,
    CreateJob,
    Info,
    JobView,
    OutputView,
    PageCode,
    ReceiptView,
    TileView,
)

__all__ = ["Client"]

_OUTSIDE = frozenset({"unavailable", "internal", "deadline"})
"""Codes of a failed admission that are no fault of what was given."""
_LONGEST_POLL = 0.5


class Client:
    """Everything an account can do at one gateway. Close it, or use it as a context.

    `key` is a private key: 32 bytes, 0x-hex, or the path of a file that holds it. A gateway that is away is waited for
    `patience` seconds at every call. Safe to use from several threads. All calls raise the errors of jobs.errors:
    Unavailable (worth another try), Refused (will be refused again), BadInput (what was given cannot be used).
    """

    def __init__(
        self,
        gateway: str,
        key: bytes | str,
        *,
        patience: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._key = read_key(key) if isinstance(key, str) else key
        self._transport = Transport(gateway, self._key, patience=patience, transport=transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    @property
    def address(self) -> str:
        """The account: the checksum address of the key."""
        return self._transport.address

    @property
    def gateway(self) -> str:
        return self._transport.origin

    def info(self) -> Info:
        """Protocol, chain and contracts, exchange rate, limits; needs no sign-in."""
        info: Info = self._transport.read(Info, "GET", "/v1/info", signed_in=False)
        return info

    def account(self) -> AccountView:
        """Balance in units of KILN, and the nonce of the next permit."""
        account: AccountView = self._transport.read(AccountView, "GET", "/v1/accounts/me")
        return account

    def create_api_key(self, body: CreateApiKey) -> ApiKeyCreated:
        """A new API key; the key itself is in this answer and nowhere else."""
        created: ApiKeyCreated = self._transport.read(ApiKeyCreated, "POST", "/v1/auth/keys", body=body)
        return created

    def api_keys(self) -> list[ApiKeyView]:
        """The account's API keys, revoked ones too."""
        keys: list[ApiKeyView] = self._transport.read(list[ApiKeyView], "GET", "/v1/auth/keys")
        return keys

    def revoke_api_key(self, key_id: str) -> ApiKeyView:
        """End an API key and what it opened."""
        key: ApiKeyView = self._transport.read(ApiKeyView, "POST", f"/v1/auth/keys/{key_id}/revoke")
        return key

    def page_url(self) -> str:
        """The page's address with a code that signs this account in, once, within five minutes. The code stands
        behind the #, which no browser sends and no log keeps."""
        code: PageCode = self._transport.read(PageCode, "POST", "/v1/auth/page/code")
        return f"{self.gateway}/sign-in#{code.code}"

    def upload(self, manifest: Manifest, sources: Mapping[str, Path], *, progress: Progress | None = None) -> int:
        """Send what the gateway lacks of the manifest's files (where their bytes lie: `sources`); bytes sent."""
        return transfers.upload(self._transport, manifest, sources, progress=progress)

    def create_job(
        self, spec: RenderSpec | InferSpec, manifest: Manifest, *, idempotency_key: str | None = None
    ) -> JobView:
        """Ask for a quote; nothing is charged. The same key gives the same job, however often it is sent."""
        body = CreateJob(spec=spec, manifest=manifest, idempotency_key=idempotency_key or uuid.uuid4().hex)
        job: JobView = self._transport.read(JobView, "POST", "/v1/jobs", body=body)
        return job

    def job(self, job: str) -> JobView:
        view: JobView = self._transport.read(JobView, "GET", f"/v1/jobs/{job}")
        return view

    def jobs(self) -> list[JobView]:
        """The account's own jobs."""
        views: list[JobView] = self._transport.read(list[JobView], "GET", "/v1/jobs")
        return views

    def tiles(self, job: str) -> list[TileView]:
        views: list[TileView] = self._transport.read(list[TileView], "GET", f"/v1/jobs/{job}/tiles")
        return views

    def outputs(self, job: str) -> list[OutputView]:
        views: list[OutputView] = self._transport.read(list[OutputView], "GET", f"/v1/jobs/{job}/outputs")
        return views

    def receipts(self, job: str) -> list[ReceiptView]:
        views: list[ReceiptView] = self._transport.read(list[ReceiptView], "GET", f"/v1/jobs/{job}/receipts")
        return views

    def bundle(self, job: str) -> dict[str, Any]:
        """What is needed to prove the job again: contract, manifest, receipts."""
        bundle: dict[str, Any] = self._transport.read(dict[str, Any], "GET", f"/v1/jobs/{job}/bundle")
        return bundle

    def evidence(self, job: str, tile: int, *, attempt: int | None = None, cell: int | None = None) -> Evidence:
        """One cell of a judged tile with all that binds it: of the latest refused attempt (else the one that was
        taken), and the cell that differed the most, unless they are named."""
        wanted = {name: value for name, value in (("attempt", attempt), ("cell", cell)) if value is not None}
        path = f"/v1/jobs/{job}/tiles/{tile}/evidence?{urlencode(wanted)}"
        found: Evidence = self._transport.read(Evidence, "GET", path)
        return found

    def lease_evidence(self, lease: str, *, cell: int | None = None) -> Evidence:
        """The same for a node, of a lease of its own."""
        wanted = {} if cell is None else {"cell": cell}
        path = f"/v1/leases/{quote(lease, safe='')}/evidence?{urlencode(wanted)}"
        found: Evidence = self._transport.read(Evidence, "GET", path)
        return found

    def wait_quote(
        self, job: str, *, timeout: float | None = None, on_change: Callable[[JobView], None] = lambda _: None
    ) -> JobView:
        """The job once it has a quote (or is past it). `on_change` sees every answer on the way.

        Raises BadInput with the reason where admission found that the scene or model cannot be done, JobFailed where it
        failed for another reason, Refused where it was cancelled, Unavailable after `timeout` seconds.
        """
        give_up = None if timeout is None else time.monotonic() + timeout
        pause = 0.1
        while True:
            view = self.job(job)
            on_change(view)
            if view.state is JobState.FAILED:
                failure = JobFailed if (view.error_code or "") in _OUTSIDE else BadInput
                raise failure(view.error or "the job was not admitted", code=view.error_code)
            if view.state is JobState.CANCELLED:
                raise Refused(f"job {job} was cancelled before it had a quote", code="cancelled")
            if view.quote is not None and view.state is not JobState.ADMITTING:
                return view
            if give_up is not None and time.monotonic() + pause > give_up:
                waiting = f"; it waits for {view.waiting_for}" if view.waiting_for else ""
                raise Unavailable(f"job {job} has no quote after {timeout:.0f} s{waiting}", code="no_quote")
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_POLL)

    def accept(self, job: JobView, *, deadline_s: int) -> JobView:
        """Order the job at its quote: at most its cap is escrowed, for `deadline_s` seconds from now.

        Raises BadInput where the account cannot pay the cap, Refused where the quote has lapsed, Unavailable while the
        chain cannot be reached.
        """
        if job.quote is None:
            raise Refused(f"job {job.id} has no quote yet; wait for it", code="no_quote")
        chain = self.info().chain
        if chain is None:
            raise Unavailable("the gateway cannot reach the chain, so nothing can be ordered; try again later")
        account = self.account()
        cap = job.quote.cap
        if account.balance < cap:
            raise BadInput(
                f"the account {self.address} holds {display_kiln(account.balance)} KILN and the order needs "
                f"{display_kiln(cap)}; send it more",
                code="balance_too_low",
            )
        body = signed_order(
            chain=chain,
            key=self._key,
            client=self.address,
            job=job.id,
            cap=cap,
            deadline=int(time.time()) + deadline_s,
            permit_nonce=account.permit_nonce,
        )
        view: JobView = self._transport.read(JobView, "POST", f"/v1/jobs/{job.id}/accept", body=body)
        return view

    def cancel(self, job: str) -> JobView:
        """End the job: what has passed is paid, the rest refunded."""
        return self._act(job, "cancel")

    def pause(self, job: str) -> JobView:
        """Lease nothing more until `resume`; what is being rendered is finished."""
        return self._act(job, "pause")

    def resume(self, job: str) -> JobView:
        return self._act(job, "resume")

    def _act(self, job: str, verb: str) -> JobView:
        view: JobView = self._transport.read(JobView, "POST", f"/v1/jobs/{job}/{verb}")
        return view

    def events(self, job: str, *, after: str | None = None) -> Iterator[JobEvent]:
        """What happens to the job, from its first event or after the one with the id `after`, until it has ended."""
        return follow(self._transport, job, after=after)

    def wait(self, job: str) -> JobView:
        """The job once it has ended, however it ended."""
        while (view := self.job(job)).state not in JOB_FINAL:
            for _ in self.events(job):
                pass
        return view

    def read_blob(self, sha256: str, *, limit: int = 1 << 30) -> bytes:
        """A blob that this account may see, at most `limit` bytes, checked against its hash."""
        return transfers.read_blob(self._transport, sha256, limit=limit)

    def download(self, sha256: str, target: Path, *, size: int) -> None:
        """A blob of `size` bytes into the file `target`, which appears only when it is whole and right."""
        transfers.download(self._transport, sha256, target, size=size)

    def download_outputs(
        self,
        job: str,
        folder: Path,
        *,
        only: Callable[[OutputView], bool] = lambda _: True,
        progress: Progress | None = None,
    ) -> list[Delivered]:
        """Delivered files (those that `only` says yes to) into `folder`, each checked against its hash and put there in
        one step. The folder is made where there is something to put into it."""
        wanted = [output for output in self.outputs(job) if only(output)]
        return transfers.download_outputs(self._transport, wanted, folder, progress=progress)
