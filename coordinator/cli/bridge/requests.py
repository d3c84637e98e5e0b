"""What each request does: the same steps as the commands of the same names take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.cli.bridge.following import follow
from coordinator.cli.bridge.telling import told
from coordinator.cli.connection import Access
from coordinator.cli.display import PlainDisplay
from jobs.errors import BadInput, KilnetError, Unavailable
from jobs.states import JobState

if TYPE_CHECKING:
    from coordinator.cli.bridge.lines import Request
    from jobs.client import Client
    from jobs.submission import Submission
    from jobs.wire import JobView

__all__ = ["Requests"]

_DESCRIBE_SECONDS = 0.2
_OPTIONS = frozenset(
    {
        "frames", "samples", "resolution", "engine", "camera", "scene", "seed", "denoise", "tiles", "sample_ranges",
        "output_format", "preview_every", "progressive", "name", "max_price", "deadline",
    }
)  # fmt: skip
"""Of `kilnet render`, by the names that its functions use; texts as a person types them."""


class Requests:
    """Carries requests out for one account at one gateway. Safe to use from several threads."""

    def __init__(self, gateway: str | None, key: str | None) -> None:
        self._gateway, self._key = gateway, key
        self._connecting = threading.Lock()
        self._client: Client | None = None
        self._unanswered: set[str] = set()
        """Jobs made here that nobody has said yes or no to."""
        self._known: dict[str, Callable[[Request], dict[str, Any]]] = {
            "hello": self._hello, "check": self._check, "quote": self._quote, "order": self._order,
            "follow": self._follow, "fetch": self._fetch, "withdraw": self._withdraw, "cancel": self._steer,
            "pause": self._steer, "resume": self._steer, "approve": self._steer, "reject": self._steer,
            "change": self._change,
        }  # fmt: skip

    def carry_out(self, request: Request) -> dict[str, Any]:
        """The fields of its `done`. Raises the errors of jobs.errors."""
        if (known := self._known.get(request.do)) is None:
            raise BadInput(f"there is no request {request.do[:40]!r}; there are {', '.join(sorted(self._known))}, stop")
        return known(request)

    def close(self) -> None:
        """Withdraw what nobody said yes to; what is ordered goes on."""
        if self._client is not None:
            for job in sorted(self._unanswered):
                self._take_back(self._client, job)
            self._client.close()

    def _take_back(self, client: Client, job: str) -> None:
        self._unanswered.discard(job)
        with suppress(KilnetError):
            if client.job(job).state in (JobState.ADMITTING, JobState.QUOTED):
                client.cancel(job)

    def _connected(self) -> Client:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Client:
        from jobs.client import Client

        access = Access(self._gateway, self._key)
        if access.gateway is not None:
            assert access.key is not None
            return Client(access.gateway, access.key)
        from coordinator.stack import find_running

        running = find_running()
        if running is None:
            raise Unavailable(
                "no gateway runs on this machine: start one with `kilnet up`, or name one (--gateway and --key)",
                code="no_gateway",
            )
        return Client(running.gateway_url, access.key or str(running.key_file))

    def _hello(self, request: Request) -> dict[str, Any]:
        """Where this is connected to, and as whom."""
        from importlib.metadata import version

        client = self._connected()
        info, account = client.info(), client.account()
        request.check()
        return {
            "lines": 1, "version": version("kilnet"), "gateway": client.gateway, "account": account.address,
            "balance": str(account.balance), "kiln_per_usd": info.kiln_per_usd, "nodes_online": info.nodes_online,
        }  # fmt: skip

    def _check(self, request: Request) -> dict[str, Any]:
        """Pack the scene, send what the gateway lacks of it, and have it described."""
        from coordinator.cli.intake import Common, render_spec, render_submission

        scene, given = Path(request.text("scene")), request.options()
        if unknown := sorted(set(given) - _OPTIONS):
            raise BadInput(f"check: there is no option {unknown[0]!r}")
        options = dict(given)
        texts = {name: options.pop(name, None) for name in ("name", "max_price", "deadline")}
        common = Common(texts["name"] or "", texts["max_price"], texts["deadline"])
        spec = render_spec(scene, common, options)
        client = self._connected()
        with render_submission(scene, spec, _Steps(request)) as ready:
            job = self._submitted(request, client, ready)
        self._unanswered.add(job.id)
        try:
            while job.state is JobState.ADMITTING and job.description is None:
                request.say("job", **told(job))
                request.wait(_DESCRIBE_SECONDS)
                job = client.job(job.id)
        except KilnetError:
            self._take_back(client, job.id)
            raise
        if job.state is JobState.FAILED:
            job = client.wait_quote(job.id)  # which raises, with the reason
        return {**told(job), "description": job.description}

    def _submitted(self, request: Request, client: Client, ready: Submission) -> JobView:
        def progress(done: int, total: int) -> None:
            request.say("upload", done=done, total=total)

        request.say("step", text="looking for what the gateway has already")
        client.upload(ready.manifest, ready.sources, progress=progress)
        request.check()
        return client.create_job(ready.spec, ready.manifest)

    def _quote(self, request: Request) -> dict[str, Any]:
        """Wait for the price of a job that was checked."""
        client, job = self._connected(), request.text("job")
        view = client.wait_quote(job, on_change=lambda seen: request.say("job", **told(seen)))
        assert view.quote is not None
        return {
            **told(view), "description": view.description, "quote": view.quote.model_dump(mode="json"),
        }  # fmt: skip

    def _order(self, request: Request) -> dict[str, Any]:
        """Say yes to the price that was shown, and to no other."""
        from jobs.spec import parse_deadline

        client = self._connected()
        view = client.job(request.text("job"))
        shown = request.text("cap")
        if view.quote is not None and str(view.quote.cap) != shown:
            raise BadInput(f"order: the cap is {view.quote.cap} units, not {shown}; ask for the quote again")
        ordered = client.accept(view, deadline_s=parse_deadline(request.text("deadline", "24h")))
        self._unanswered.discard(view.id)
        return told(ordered)

    def _follow(self, request: Request) -> dict[str, Any]:
        """Tell of the job until it has ended, with pictures of it in a folder where one is named."""
        from coordinator.cli.report import job_report

        client = self._connected()
        folder = request.text("pictures", "")
        view = follow(client, request, request.text("job"), Path(folder) if folder else None)
        return {**told(view), "report": job_report(view, client.info())}

    def _fetch(self, request: Request) -> dict[str, Any]:
        """The job's files into a folder."""
        from jobs.client.outcome import NOT_DELIVERED

        delivered = self._connected().download_outputs(
            request.text("job"), Path(request.text("out")), only=lambda output: output.kind not in NOT_DELIVERED,
            progress=lambda done, total: request.say("download", done=done, total=total),
        )  # fmt: skip
        files = [
            {"path": str(one.path), "kind": one.kind, "frame": one.frame, "sha256": one.sha256} for one in delivered
        ]
        return {"files": files}

    def _withdraw(self, request: Request) -> dict[str, Any]:
        """No to a quote."""
        self._take_back(self._connected(), request.text("job"))
        return {}

    def _steer(self, request: Request) -> dict[str, Any]:
        view: JobView = getattr(self._connected(), request.do)(request.text("job"))
        self._unanswered.discard(view.id)
        return told(view)

    def _change(self, request: Request) -> dict[str, Any]:
        """Another place among the account's own jobs, another cap, or both."""
        from coordinator.cli.options import parse_usd

        priority, cap = request.number("priority"), request.text("cap_usd", "")
        if priority is None and not cap:
            raise BadInput("change: nothing to change; give priority or cap_usd")
        amount = parse_usd("cap_usd", cap) if cap else None
        return told(self._connected().change(request.text("job"), priority=priority, cap_usd=amount))


class _Steps(PlainDisplay):
    """Tells the program what is being done."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request

    def step(self, line: str) -> None:
        self._request.say("step", text=line)
