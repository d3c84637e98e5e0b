"""The client: one object for all that an artist or a studio asks of a gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import httpx

from jobs.client import results, transfers
from jobs.client.account import Account, FramePicture
from jobs.client.blocking import Blocking
from jobs.client.calls import HEADERS, READ_SECONDS, Calls, base_url
from jobs.client.events import JobEvent, follow
from jobs.client.key import Credentials
from jobs.client.results import Items
from jobs.client.steps import Confirm, StepChange, StepResult
from jobs.client.transfers import Delivered, Progress
from jobs.evidence import Evidence
from jobs.looks import FrameLook
from jobs.manifest import Manifest
from jobs.spec import InferSpec, RenderSpec
from jobs.wire import (
    AccountView,
    AddTarget,
    ApiKeyCreated,
    ApiKeyView,
    CreateApiKey,
    Info,
    JobView,
    OutputView,
    ReceiptView,
    TargetAdded,
    TargetView,
    TileView,
)

if TYPE_CHECKING:
    from jobs.pipeline import Pipeline

__all__ = ["Client"]


class Client:
    """Everything an account can do at one gateway. Close it, or use it as a context.

    `key` is the wallet's private key: 32 bytes, 0x-hex, or the path of a file that holds it. `api_key` acts without the
    wallet, within its limits; with both, calls are the API key's and orders are signed by the wallet. A gateway that is
    away is waited for `patience` seconds at every call. Safe to use from several threads. All calls raise the errors of
    jobs.errors: Unavailable (worth another try), Refused (will be refused again), BadInput (what was given cannot be
    used). `transport` is the seam of httpx.
    """

    def __init__(
        self,
        gateway: str,
        key: bytes | str | None = None,
        *,
        api_key: str | None = None,
        patience: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._account = Account(Calls(gateway, Credentials.of(key, api_key), patience=patience))
        self._driver = Blocking(base_url(gateway), timeout=READ_SECONDS, headers=HEADERS, transport=transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._driver.close()

    @property
    def address(self) -> str:
        """The account: the checksum address of the wallet's key. Raises BadInput where only an API key was given."""
        return self._account.calls.credentials.address

    @property
    def gateway(self) -> str:
        return self._account.calls.origin

    def info(self) -> Info:
        """Protocol, chain and contracts, exchange rate, limits; needs no sign-in."""
        return self._driver.run(self._account.get(Info, "/v1/info", signed_in=False))

    def account(self) -> AccountView:
        """Balance in units of KILN, and the nonce of the next permit."""
        return self._driver.run(self._account.get(AccountView, "/v1/accounts/me"))

    def create_api_key(self, body: CreateApiKey) -> ApiKeyCreated:
        """A new API key; the key itself is in this answer and nowhere else. Needs the wallet's key."""
        return self._driver.run(self._account.post(ApiKeyCreated, "/v1/auth/keys", body=body))

    def api_keys(self) -> list[ApiKeyView]:
        """The account's API keys, revoked ones too."""
        return self._driver.run(self._account.get(list[ApiKeyView], "/v1/auth/keys"))

    def revoke_api_key(self, key_id: str) -> ApiKeyView:
        """End an API key and what it opened. Needs the wallet's key."""
        return self._driver.run(self._account.post(ApiKeyView, f"/v1/auth/keys/{key_id}/revoke"))

    def notify_targets(self) -> list[TargetView]:
        """Where the account is told of its jobs."""
        return self._driver.run(self._account.get(list[TargetView], "/v1/notify"))

    def add_notify_target(self, body: AddTarget) -> TargetAdded:
        """Have notices sent to a webhook (the answer holds its secret, see jobs.client.webhooks) or to an e-mail
        address, once it is confirmed with the code that is mailed to it."""
        return self._driver.run(self._account.post(TargetAdded, "/v1/notify", body=body))

    def confirm_notify_target(self, target: str, code: str) -> TargetView:
        """The code that was mailed to the address."""
        return self._driver.run(self._account.confirm_target(target, code))

    def remove_notify_target(self, target: str) -> None:
        """Nothing more is sent there."""
        self._driver.run(self._account.calls.call("POST", f"/v1/notify/{target}/remove"))

    def page_url(self) -> str:
        """The page's address with a code that signs this account in, once, within five minutes. The code stands
        behind the #, which no browser sends and no log keeps. Needs the wallet's key."""
        return self._driver.run(self._account.page_url())

    def upload(self, manifest: Manifest, sources: Mapping[str, Path], *, progress: Progress | None = None) -> int:
        """Send what the gateway lacks of the manifest's files (where their bytes lie: `sources`); bytes sent."""
        return self._driver.run(transfers.upload(self._account.calls, manifest, sources, progress=progress))

    def create_job(
        self, spec: RenderSpec | InferSpec, manifest: Manifest, *, idempotency_key: str | None = None
    ) -> JobView:
        """Ask for a quote; nothing is charged. The same key gives the same job, however often it is sent."""
        return self._driver.run(self._account.create_job(spec, manifest, idempotency_key=idempotency_key))

    def submit(
        self,
        spec: RenderSpec | InferSpec,
        manifest: Manifest,
        sources: Mapping[str, Path],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> JobView:
        """Upload, create the job and wait for its quote; nothing is charged. Raises as upload, create_job and
        wait_quote do. Sent again with the same key it goes on where it was."""
        return self._driver.run(
            self._account.submit(
                spec, manifest, sources, idempotency_key=idempotency_key, timeout=timeout, progress=progress
            )
        )

    def job(self, job: str) -> JobView:
        return self._driver.run(self._account.get(JobView, f"/v1/jobs/{job}"))

    def jobs(self) -> list[JobView]:
        """The account's own jobs."""
        return self._driver.run(self._account.get(list[JobView], "/v1/jobs"))

    def tiles(self, job: str) -> list[TileView]:
        return self._driver.run(self._account.get(list[TileView], f"/v1/jobs/{job}/tiles"))

    def outputs(self, job: str) -> list[OutputView]:
        return self._driver.run(self._account.get(list[OutputView], f"/v1/jobs/{job}/outputs"))

    def receipts(self, job: str) -> list[ReceiptView]:
        return self._driver.run(self._account.get(list[ReceiptView], f"/v1/jobs/{job}/receipts"))

    def bundle(self, job: str) -> dict[str, Any]:
        """What is needed to prove the job again: contract, manifest, receipts."""
        return self._driver.run(self._account.get(dict[str, Any], f"/v1/jobs/{job}/bundle"))

    def evidence(self, job: str, tile: int, *, attempt: int | None = None, cell: int | None = None) -> Evidence:
        """One cell of a judged tile with all that binds it: of the latest refused attempt (else the one that was
        taken), and the cell that differed the most, unless they are named."""
        return self._driver.run(self._account.evidence(job, tile, attempt=attempt, cell=cell))

    def lease_evidence(self, lease: str, *, cell: int | None = None) -> Evidence:
        """The same for a node, of a lease of its own."""
        return self._driver.run(self._account.lease_evidence(lease, cell=cell))

    def wait_quote(
        self, job: str, *, timeout: float | None = None, on_change: Callable[[JobView], None] = lambda _: None
    ) -> JobView:
        """The job once it has a quote (or is past it). `on_change` sees every answer on the way.

        Raises BadInput with the reason where admission found that the scene or model cannot be done, JobFailed where it
        failed for another reason, Refused where it was cancelled, Unavailable after `timeout` seconds.
        """
        return self._driver.run(self._account.wait_quote(job, timeout=timeout, on_change=on_change))

    def accept(self, job: JobView, *, deadline_s: int) -> JobView:
        """Order the job at its quote: at most its cap is escrowed, for `deadline_s` seconds from now. Needs the
        wallet's key; with an API key beside it the order counts towards that key's limits.

        Raises BadInput where the account cannot pay the cap, Refused where the quote has lapsed or the API key's limit
        is reached, Unavailable while the chain cannot be reached.
        """
        return self._driver.run(self._account.accept(job, deadline_s=deadline_s))

    def change(self, job: str, *, priority: int | None = None, cap_usd: Decimal | None = None) -> JobView:
        """Change a job that has not ended: its priority among the account's own jobs (-100..100, the higher first), or
        its cap, at most what is in escrow: nothing more is begun that might go over it, and the job waits until the cap
        is raised again. What is left out stays. Raises BadInput for a cap above the escrow or another priority."""
        return self._driver.run(self._account.change(job, priority=priority, cap_usd=cap_usd))

    def cancel(self, job: str) -> JobView:
        """End the job: what has passed is paid, the rest refunded."""
        return self._driver.run(self._account.post(JobView, f"/v1/jobs/{job}/cancel"))

    def pause(self, job: str) -> JobView:
        """Lease nothing more until `resume`; what is being rendered is finished."""
        return self._driver.run(self._account.post(JobView, f"/v1/jobs/{job}/pause"))

    def resume(self, job: str) -> JobView:
        return self._driver.run(self._account.post(JobView, f"/v1/jobs/{job}/resume"))

    def approve(self, job: str) -> JobView:
        """Go on after the preview; what was held back is rendered."""
        return self._driver.run(self._account.post(JobView, f"/v1/jobs/{job}/approve"))

    def reject(self, job: str) -> JobView:
        """End the job because of its preview: what was rendered of it is paid, the rest refunded."""
        return self._driver.run(self._account.post(JobView, f"/v1/jobs/{job}/reject"))

    def events(self, job: str, *, after: str | None = None) -> Iterator[JobEvent]:
        """What happens to the job, from its first event or after the one with the id `after`, until it has ended."""
        return self._driver.iterate(follow(self._account.calls, job, after=after))

    def passed_tiles(self, job: str) -> Iterator[TileView]:
        """Each tile once, as soon as it has passed (those that have already first), until the job has ended."""
        return self._driver.iterate(results.tiles(self._account, job))

    def frames(
        self, job: str, folder: Path, *, only: Callable[[OutputView], bool] = lambda _: True
    ) -> Iterator[Delivered]:
        """Each delivered file that `only` says yes to, once it lies in `folder`, until the job has ended. Previews and
        reference frames are left out."""
        return self._driver.iterate(results.frames(self._account, job, folder, only))

    def items(self, job: str) -> Iterator[Items]:
        """Items of a batch as they pass, a tile's at a time (`first` says which), until the job has ended. Raises
        BadInput for a job that renders."""
        return self._driver.iterate(results.items(self._account, job))

    def run_pipeline(
        self,
        pipeline: Pipeline,
        out: Path,
        *,
        confirm: Confirm = lambda _: True,
        on_change: StepChange = lambda _step, _job: None,
    ) -> Iterator[StepResult]:
        """Run a pipeline's steps (jobs.pipeline.load_pipeline): each StepResult as it ends, its files in the folder
        `out`/STEP. Steps that can be priced are quoted first; `confirm` is shown what is new (default: yes) and all of
        it is ordered or none, within the pipeline's cap; a step that takes another's pictures is quoted once they are
        there. `on_change` sees each step's job whenever it was looked at.

        Run again with the same pipeline it goes on where it was: what is done or ordered is neither made nor paid
        twice. Leaving the iteration withdraws what was not ordered; what was goes on, but what comes after it is not
        begun.

        Raises the first error, which names its step and what goes on: BadInput over a cap or the balance and for what
        cannot be done, Refused `declined` where `confirm` says no, JobFailed, Unavailable.
        """
        from jobs.client.pipelines import run_pipeline  # with YAML and tables, which other calls do without

        return self._driver.iterate(run_pipeline(self._account, pipeline, out, confirm=confirm, on_change=on_change))

    def wait(self, job: str) -> JobView:
        """The job once it has ended, however it ended."""
        return self._driver.run(self._account.wait(job))

    def frame_picture(
        self,
        job: str,
        frame: int,
        *,
        kind: Literal["live", "reference", "result"] = "live",
        known: str | None = None,
    ) -> FramePicture | None:
        """A frame as a small PNG: the tiles that passed so far, the reference frame, or what was delivered. None where
        it is still the one with the tag `known`. Raises Refused where there is none."""
        return self._driver.run(self._account.frame_picture(job, frame, kind=kind, known=known))

    def frame_look(self, job: str, frame: int) -> FrameLook:
        """How far a frame has come: pixels covered, samples, and the noise that is seen."""
        return self._driver.run(self._account.get(FrameLook, f"/v1/jobs/{job}/frames/{frame}/look"))

    def read_blob(self, sha256: str, *, limit: int = 1 << 30) -> bytes:
        """A blob that this account may see, at most `limit` bytes, checked against its hash."""
        return self._driver.run(transfers.read_blob(self._account.calls, sha256, limit=limit))

    def download(self, sha256: str, target: Path, *, size: int) -> None:
        """A blob of `size` bytes into the file `target`, which appears only when it is whole and right."""
        self._driver.run(transfers.download(self._account.calls, sha256, target, size=size))

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
        return self._driver.run(self._account.download_outputs(job, folder, only=only, progress=progress))
