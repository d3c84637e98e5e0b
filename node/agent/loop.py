"""One work loop: claim, files, work, seal; then the next lease, while the last one is still being delivered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobs.errors import KilnetError
from jobs.manifest import Asset
from jobs.states import WorkKind
from jobs.wire import ClaimRequest, LeaseOffer, Release, RuntimeClass
from node.agent.arrivals import Arrivals, needed
from node.agent.beats import Beat, Beats
from node.agent.failures import failure_of
from node.agent.known_models import KnownModels
from node.agent.sealing import seal_files, seal_result
from node.agent.trusted import TrustedWork
from node.agent.work import Work, title_of
from node.agent.worker import Worker
from node.cache import AssetCache
from node.gateway import Cancelled, Conflict, Forbidden, GatewayClient, Stopping, download
from node.keys import NodeKey
from node.outbox import LeaseRef, Outbox, Step, StepKind
from node.runner_process import RunnerCancelled, RunnerFailure
from node.runner_programs import BLENDER
from verification.commitment import MalformedResult

__all__ = ["Shared", "WorkLoop"]

log = logging.getLogger("kilnet.node")

_PROVEN = (WorkKind.TILE, WorkKind.AUDIT)
_FETCH_PATIENCE = 120.0
_SEALING = 2
"""Results that may wait to be hashed and packed: more would only fill the memory."""
_IDLE_RUNNER_SECONDS = 900.0
_EXPECTED = (RunnerFailure, KilnetError, MalformedResult, OSError)
"""Whatever else work ends with is a fault of this agent: told to the gateway like the others, and logged whole."""
_UNMEASURED_SECONDS = 30.0
"""Pause after `class_not_measured`: another node of the class, or a calibration, takes its time to come."""
_STAKE_SECONDS = 10.0
"""Pause after `stake_needed`: the gateway looks the stake up meanwhile."""
_IDLE_BEFORE_SPARE = 0.5
"""Seconds without work after which a runner is started ahead of the next job."""


@dataclass(slots=True)
class Shared:
    """What all work loops of an agent have in common."""

    key: NodeKey
    client: GatewayClient
    outbox: Outbox
    beats: Beats
    cache: AssetCache
    runtimes: tuple[RuntimeClass, ...]
    stop: threading.Event
    """Set when nothing more is to be claimed."""
    grace_seconds: float
    threads: int
    active: set[str]
    """Jobs that are being worked on: their files stay."""
    register_again: Callable[[], None]
    models: Path
    """Folder for what was measured about models."""
    stake_again: Callable[[], None]
    """Stakes what is missing, where the operator has said that it may."""

    def class_of(self, offer: LeaseOffer) -> str:
        """The numerics class in which a lease's contract is done here."""
        assert offer.contract is not None
        wanted = (offer.contract.class_runtime, offer.contract.version)
        for found in self.runtimes:
            if (found.runtime, found.version) == wanted:
                return found.numerics_class
        raise MalformedResult(f"the lease asks for {wanted[0]} {wanted[1]}, which is not what is installed here")


class WorkLoop(threading.Thread):
    """Works for one device until `shared.stop` is set. `on_end(error)` is called once, with what it ended by, if it was
    an error that no waiting mends."""

    def __init__(
        self,
        shared: Shared,
        worker: Worker,
        kinds: tuple[WorkKind, ...],
        *,
        claim_seconds: float,
        once: bool,
        on_end: Callable[[Exception | None], None],
    ) -> None:
        super().__init__(name=f"work-{kinds[0]}", daemon=True)
        self._shared, self._worker, self._kinds = shared, worker, kinds
        self._trusted = TrustedWork(worker, shared.runtimes, shared.threads, KnownModels(shared.models))
        self._claim_seconds, self._once, self._on_end = claim_seconds, once, on_end
        self._sealer = ThreadPoolExecutor(1, thread_name_prefix=f"seal-{kinds[0]}")
        self._slots = threading.Semaphore(_SEALING)
        self._claimed = threading.Event()
        self._blender = any(found.runtime == BLENDER for found in shared.runtimes)

    def run(self) -> None:
        error: Exception | None = None
        try:
            while not self._shared.stop.is_set():
                offer = self._claim()
                if offer is not None:
                    self._lease(offer)
                    if self._once:
                        break
                self._worker.pool.discard_idle(_IDLE_RUNNER_SECONDS)
        except Stopping:
            pass
        except Exception as caught:
            log.debug("the work loop ended", exc_info=True)
            error = caught
        self._sealer.shutdown(wait=True)
        self._on_end(error)

    def _claim(self) -> LeaseOffer | None:
        """A lease, or None when there was none or the agent stops meanwhile (then what still comes is given back)."""
        classes = tuple(c.numerics_class for c in self._shared.runtimes)
        request = ClaimRequest(
            kinds=self._kinds, runtimes=classes, warm=self._worker.pool.jobs(), wait_seconds=self._claim_seconds
        )
        asked: Future[LeaseOffer | None] = Future()
        answered = threading.Event()
        asked.add_done_callback(lambda _: answered.set())
        threading.Thread(target=self._ask, args=(request, asked), name="claim", daemon=True).start()
        idle_since = time.monotonic()
        while not answered.wait(0.1):
            if self._blender and time.monotonic() - idle_since > _IDLE_BEFORE_SPARE:
                self._worker.pool.prepare()
            if self._shared.stop.is_set() and not answered.wait(0.5):
                asked.add_done_callback(self._give_back_late)
                return None
        try:
            return asked.result()
        except (Forbidden, Conflict) as error:
            if error.code == "class_not_measured":
                log.warning("no work: %s", error)
                self._shared.stop.wait(_UNMEASURED_SECONDS)
                return None
            if error.code == "stake_needed":
                log.warning("no work: %s", error)
                self._shared.stake_again()
                self._shared.stop.wait(_STAKE_SECONDS)
                return None
            if error.code not in ("not_registered", "class_not_registered"):
                raise
            log.info("the gateway does not know this node (any more): registering again")
            self._shared.register_again()
            return None

    def _ask(self, request: ClaimRequest, answer: Future[LeaseOffer | None]) -> None:
        try:
            answer.set_result(self._shared.client.claim(request, stop=self._shared.stop))
        except Exception as error:
            answer.set_exception(error)

    def _give_back_late(self, asked: Future[LeaseOffer | None]) -> None:
        if asked.exception() is None and (offer := asked.result()) is not None:
            self._release(_ref(offer))

    def _lease(self, offer: LeaseOffer) -> None:
        shared, ref = self._shared, _ref(offer)
        beat = shared.beats.add(ref)
        shared.active.add(offer.job)
        log.info("taken: %s", ref.title)
        began = time.monotonic()
        stopper = _StopWatch(shared, beat, began)
        stopper.start()
        handed_on, arrivals = False, None
        try:
            work, arrivals = self._work(offer, beat)
            if offer.kind in _PROVEN:
                self._worker.ready(work)
            started = time.monotonic()
            if offer.kind in _PROVEN:
                data = self._worker.tile(work) if offer.kind is WorkKind.TILE else self._worker.audit(work)
                seconds = time.monotonic() - started
                self._slots.acquire()
                self._sealer.submit(self._seal, offer, ref, beat, data, seconds)
            else:
                outcome = self._trusted.do(work, shared.outbox.folder(offer.id))
                seconds = time.monotonic() - started
                if beat.cancel.is_set():
                    raise Cancelled
                seal_files(ref, outcome, outbox=shared.outbox, seconds=seconds)
                log.info("done in %.2f s: %s", seconds, ref.title)
            beat.report(1.0, "delivering")
            handed_on = True
        except (Cancelled, RunnerCancelled):
            self._worker.pool.discard(offer.job)
            if arrivals is not None and arrivals.error is not None and not stopper.gave_up:
                self._failed(offer, ref, arrivals.error, "")
                handed_on = True
            else:
                self._on_cancelled(ref, stopper)
        except Stopping:
            self._release(ref)
            handed_on = True
        except Exception as error:
            tail = "\n".join(getattr(error, "stderr_tail", ())) or self._worker.pool.log_tail(offer.job)
            self._worker.pool.discard(offer.job)  # the next lease of this job gets a fresh runner
            self._failed(offer, ref, error, tail)
            handed_on = True
        finally:
            stopper.done.set()
            if arrivals is not None:
                arrivals.finish()
            self._worker.pool.rest()
            shared.active.discard(offer.job)
            if not handed_on:
                shared.beats.remove(offer.id)

    def _work(self, offer: LeaseOffer, beat: Beat) -> tuple[Work, Arrivals]:
        """The lease with the files it begins with in place, and what brings the others meanwhile."""
        shared, files = self._shared, needed(offer)
        fetch = partial(self._fetch, cancel=beat.cancel)
        folder = shared.cache.materialise(offer.job, files.first, fetch, keep=shared.active)

        def fetch_blob(sha256: str, size: int, target: Path) -> None:
            fetch(Asset(path=target.name, sha256=sha256, size=size), target)

        def bring(asset: Asset) -> Path:
            return shared.cache.materialise(offer.job, [asset], fetch, keep=shared.active)

        arrivals = Arrivals(files.later, bring, beat.cancel)
        arrivals.start()
        return Work(offer, folder, cancel=beat.cancel, on_progress=beat.report, fetch_blob=fetch_blob), arrivals

    def _fetch(self, asset: Asset, target: Path, *, cancel: threading.Event) -> None:
        transport = self._shared.client.transport
        download(transport, asset, target, patience=_FETCH_PATIENCE, cancel=cancel)

    def _seal(self, offer: LeaseOffer, ref: LeaseRef, beat: Beat, data: bytearray, seconds: float) -> None:
        shared = self._shared
        try:
            if beat.cancel.is_set():
                log.info("not wanted any more: %s", ref.title)
                return
            asset = seal_result(
                offer,
                ref,
                data,
                key=shared.key,
                outbox=shared.outbox,
                numerics_class=shared.class_of(offer),
                seconds=seconds,
                threads=shared.threads,
            )
            log.info("done in %.2f s: %s; %s to send", seconds, ref.title, _bytes(asset.size))
        except Exception as error:
            self._failed(offer, ref, error, "")
        finally:
            self._slots.release()

    def _failed(self, offer: LeaseOffer, ref: LeaseRef, error: Exception, log_tail: str) -> None:
        report = failure_of(offer.token, error, log_tail)
        log.warning("failed: %s: %s: %s", ref.title, report.code, report.message)
        level = logging.DEBUG if isinstance(error, _EXPECTED) else logging.ERROR
        log.log(level, "what happened", exc_info=error)
        self._shared.outbox.put(ref, [Step(StepKind.FAIL, report.model_dump_json())])

    def _on_cancelled(self, ref: LeaseRef, stopper: _StopWatch) -> None:
        self._shared.outbox.drop(ref.lease)
        if stopper.gave_up:
            self._release(ref)
        else:
            log.info("not wanted any more: %s", ref.title)

    def _release(self, ref: LeaseRef) -> None:
        log.info("given back: %s", ref.title)
        self._shared.outbox.put(ref, [Step(StepKind.RELEASE, Release(token=ref.token).model_dump_json())])


class _StopWatch(threading.Thread):
    """Once the agent stops: lets the lease in hand be finished if it will be within the grace time, else cancels it."""

    def __init__(self, shared: Shared, beat: Beat, began: float) -> None:
        super().__init__(name="stop-watch", daemon=True)
        self._shared, self._beat, self._began = shared, beat, began
        self.done = threading.Event()
        self.gave_up = False

    def run(self) -> None:
        while not self.done.wait(0.1):
            if self._shared.stop.is_set():
                break
        else:
            return
        elapsed, share = time.monotonic() - self._began, self._beat.progress
        left = elapsed / share * (1 - share) if share > 0.02 else float("inf")
        if left <= self._shared.grace_seconds and self.done.wait(self._shared.grace_seconds):
            return
        if not self.done.is_set():
            self.gave_up = True
            self._beat.cancel.set()


def _ref(offer: LeaseOffer) -> LeaseRef:
    return LeaseRef(offer.id, offer.token, offer.job, str(offer.kind), title_of(offer), offer.heartbeat_seconds)


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
