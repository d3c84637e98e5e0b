"""All that an account can do at a gateway, as programs; Client and AsyncClient carry them out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ValidationError

from jobs.client import transfers
from jobs.client.calls import Calls
from jobs.client.effects import Program, Sleep
from jobs.client.events import follow
from jobs.client.orders import signed_order
from jobs.client.transfers import Delivered, Progress
from jobs.errors import BadInput, JobFailed, Refused, Unavailable
from jobs.evidence import Evidence
from jobs.manifest import Manifest
from jobs.pricing import display_kiln
from jobs.spec import InferSpec, RenderSpec, explain
from jobs.states import JOB_FINAL, JobState
from jobs.wire import (
    AcceptJob,
    AccountView,
    ChainInfo,
    ChangeJob,
    ConfirmTarget,
    CreateJob,
    Info,
    JobView,
    OutputView,
    PageCode,
    TargetView,
)

__all__ = ["Account", "FramePicture"]

_T = TypeVar("_T")
_B = TypeVar("_B", bound=BaseModel)
_OUTSIDE = frozenset({"unavailable", "internal", "deadline"})
"""Codes of a failed admission that are no fault of what was given."""
_LONGEST_POLL = 0.5
_OTHER_ORDERS_SECONDS = 120.0
"""An order waits so long for those of the same account that are being opened."""


class FramePicture(NamedTuple):
    """A frame as a PNG, a tag that changes with it, and whether more of it can be had at once."""

    png: bytes
    tag: str
    more: bool


def _body(model: type[_B], **fields: Any) -> _B:
    """What is sent. Raises BadInput that names the field."""
    try:
        return model(**fields)
    except ValidationError as error:
        raise BadInput(explain(error)) from error


class Account:
    """Programs over one account's calls. What each raises is said at jobs.client.Client."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def get(self, model: type[_T], path: str, *, signed_in: bool = True) -> Program[_T]:
        return self.calls.read(model, "GET", path, signed_in=signed_in)

    def post(self, model: type[_T], path: str, *, body: BaseModel | None = None) -> Program[_T]:
        return self.calls.read(model, "POST", path, body=body)

    def page_url(self) -> Program[str]:
        code: PageCode = yield from self.post(PageCode, "/v1/auth/page/code")
        return f"{self.calls.origin}/sign-in#{code.code}"

    def create_job(
        self, spec: RenderSpec | InferSpec, manifest: Manifest, *, idempotency_key: str | None
    ) -> Program[JobView]:
        # Made once: the call is repeated where its answer is lost, and must then name the same job.
        body = _body(CreateJob, spec=spec, manifest=manifest, idempotency_key=idempotency_key or uuid.uuid4().hex)
        return self.post(JobView, "/v1/jobs", body=body)

    def submit(
        self,
        spec: RenderSpec | InferSpec,
        manifest: Manifest,
        sources: Mapping[str, Path],
        *,
        idempotency_key: str | None,
        timeout: float | None,
        progress: Progress | None,
    ) -> Program[JobView]:
        yield from transfers.upload(self.calls, manifest, sources, progress=progress)
        job = yield from self.create_job(spec, manifest, idempotency_key=idempotency_key)
        return (yield from self.wait_quote(job.id, timeout=timeout, on_change=lambda _: None))

    def confirm_target(self, target: str, code: str) -> Program[TargetView]:
        return self.post(TargetView, f"/v1/notify/{target}/confirm", body=_body(ConfirmTarget, code=code))

    def evidence(self, job: str, tile: int, *, attempt: int | None, cell: int | None) -> Program[Evidence]:
        wanted = {name: value for name, value in (("attempt", attempt), ("cell", cell)) if value is not None}
        return self.get(Evidence, f"/v1/jobs/{job}/tiles/{tile}/evidence?{urlencode(wanted)}")

    def lease_evidence(self, lease: str, *, cell: int | None) -> Program[Evidence]:
        wanted = {} if cell is None else {"cell": cell}
        return self.get(Evidence, f"/v1/leases/{quote(lease, safe='')}/evidence?{urlencode(wanted)}")

    def wait_quote(self, job: str, *, timeout: float | None, on_change: Callable[[JobView], None]) -> Program[JobView]:
        give_up = None if timeout is None else time.monotonic() + timeout
        pause = 0.1
        while True:
            view: JobView = yield from self.get(JobView, f"/v1/jobs/{job}")
            on_change(view)
            if view.state is JobState.FAILED:
                failure = JobFailed if (view.error_code or "") in _OUTSIDE else BadInput
                raise failure(view.error or "the job was not admitted", code=view.error_code)
            if view.state is JobState.CANCELLED:
                raise Refused(f"job {job} was cancelled before it had a quote; submit it again", code="cancelled")
            if view.quote is not None and view.state is not JobState.ADMITTING:
                return view
            if give_up is not None and time.monotonic() + pause > give_up:
                waiting = f"; it waits for {view.waiting_for}" if view.waiting_for else ""
                raise Unavailable(
                    f"job {job} has no quote after {timeout:.0f} s{waiting}; wait longer, or ask its operator",
                    code="no_quote",
                )
            yield Sleep(pause)
            pause = min(pause * 1.5, _LONGEST_POLL)

    def accept(self, job: JobView, *, deadline_s: int) -> Program[JobView]:
        if job.quote is None:
            raise Refused(f"job {job.id} has no quote yet; wait for it", code="no_quote")
        key, address = self.calls.credentials.wallet, self.calls.credentials.address
        info: Info = yield from self.get(Info, "/v1/info", signed_in=False)
        if info.chain is None:
            raise Unavailable("the gateway cannot reach the chain, so nothing can be ordered; try again later")
        give_up = time.monotonic() + _OTHER_ORDERS_SECONDS
        while True:
            account: AccountView = yield from self.get(AccountView, "/v1/accounts/me")
            body = self._order(job.id, job.quote.cap, account, info.chain, address, key, deadline_s)
            try:
                return (yield from self.post(JobView, f"/v1/jobs/{job.id}/accept", body=body))
            except Refused as error:
                # Two orders at once: each permit has a number, and this one's comes after the other's.
                if error.code != "opening_another" or time.monotonic() > give_up:
                    raise
            yield Sleep(_LONGEST_POLL)

    @staticmethod
    def _order(
        job: str, cap: int, account: AccountView, chain: ChainInfo, address: str, key: bytes, deadline_s: int
    ) -> AcceptJob:
        """Raises BadInput where the account is another one's, or holds too little."""
        if account.address != address:
            raise BadInput(
                f"the API key is of the account {account.address}, the wallet is {address}; give those of one account",
                code="wrong_account",
            )
        if account.balance < cap:
            raise BadInput(
                f"the account {address} holds {display_kiln(account.balance)} KILN and the order needs "
                f"{display_kiln(cap)}; send it more",
                code="balance_too_low",
            )
        return signed_order(
            chain=chain, key=key, client=address, job=job, cap=cap, deadline=int(time.time()) + deadline_s,
            permit_nonce=account.permit_nonce,
        )  # fmt: skip

    def change(self, job: str, *, priority: int | None, cap_usd: Decimal | None) -> Program[JobView]:
        body = _body(ChangeJob, priority=priority, cap_usd=cap_usd)
        return self.post(JobView, f"/v1/jobs/{job}/change", body=body)

    def wait(self, job: str) -> Program[JobView]:
        while True:
            view: JobView = yield from self.get(JobView, f"/v1/jobs/{job}")
            if view.state in JOB_FINAL:
                return view
            yield from follow(self.calls, job)

    def frame_picture(self, job: str, frame: int, *, kind: str, known: str | None) -> Program[FramePicture | None]:
        headers = {} if known is None else {"If-None-Match": known}
        answer = yield from self.calls.call("GET", f"/v1/jobs/{job}/frames/{frame}/{kind}.png", headers=headers)
        if answer.status_code == 304:
            return None
        return FramePicture(answer.content, answer.headers.get("ETag", ""), answer.headers.get("Kilnet-More") == "1")

    def download_outputs(
        self, job: str, folder: Path, *, only: Callable[[OutputView], bool], progress: Progress | None
    ) -> Program[list[Delivered]]:
        outputs: list[OutputView] = yield from self.get(list[OutputView], f"/v1/jobs/{job}/outputs")
        wanted = [output for output in outputs if only(output)]
        return (yield from transfers.download_outputs(self.calls, wanted, folder, progress=progress))
