"""The agent: signs in, registers, works until it is told to stop, and sends what it owes before it ends."""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from jobs.errors import BadInput, KilnetError, Refused
from jobs.states import WorkKind
from jobs.wire import RuntimeClass
from node.agent.beats import Beats
from node.agent.loop import Shared, WorkLoop
from node.agent.registration import bench, registration
from node.agent.settings import NODE_KINDS, TRUSTED_KINDS, AgentSettings
from node.agent.verdicts import Verdicts
from node.agent.worker import Worker
from node.cache import AssetCache
from node.gateway import GatewayClient, GatewayError, NotFound, Stopping, Transport
from node.hardware import probe
from node.keys import NodeKey
from node.outbox import Delivery, LeaseRef, Outbox, StepKind
from node.runner_pool import RunnerPool
from node.runner_programs import choose_launcher
from node.sandbox import Launcher
from node.stake import join_chain

__all__ = ["Agent", "WorkerFactory"]

log = logging.getLogger("kilnet.node")

WorkerFactory = Callable[[RunnerPool], Worker]
_WARM_NODE, _WARM_TRUSTED = 1, 4
_JOB_IDLE_SECONDS = 1800.0
_TIDY_SECONDS = 60.0


class Agent:
    """One node. `worker` makes what produces its results: the seam for tests and for the cheats in samples."""

    def __init__(self, settings: AgentSettings, *, worker: WorkerFactory = Worker) -> None:
        self.settings = settings
        self._make_worker = worker
        self.stop_event = threading.Event()
        self._ended = threading.Condition()
        self._running = 0
        self._error: Exception | None = None

    def stop(self) -> None:
        """Ask it to end in good order; safe in a signal handler."""
        self.stop_event.set()

    def run(self) -> int:
        """Work until `stop` is called; the exit code. Raises KilnetError for what keeps it from working at all."""
        settings = self.settings
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (settings.data / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BadInput(
                    f"{settings.data}: another node runs with this folder; give each its own --data"
                ) from error
            try:
                return self._run()
            except Stopping:
                return 0

    def _run(self) -> int:
        settings = self.settings
        launcher = choose_launcher(unsandboxed=settings.unsandboxed)
        if not launcher.sandboxed:
            log.warning("UNSANDBOXED: scenes and models can read this account's files and use its network")
        key = NodeKey.load_or_create(settings.data / "key")
        hardware = probe()
        log.info("node %s on %s, %d threads", key.address, hardware.cpu, settings.runner.threads or hardware.threads)
        runtimes = tuple(found.as_class() for found in bench(settings, launcher, hardware))
        for found in runtimes:
            log.info("%s, score %.2f", found.numerics_class, found.score)
        client = GatewayClient(Transport(settings.gateway, key))
        about = registration(settings, hardware, runtimes, sandboxed=launcher.sandboxed)
        session = client.transport.sign_in(stop=self.stop_event)
        self._stake(client, key)
        client.register(about, stop=self.stop_event)
        if settings.trusted and not session.trusted:
            raise Refused(f"{key.address} is not one of the gateway's trusted workers; add it to `trusted` there")
        kinds = settings.kinds or (TRUSTED_KINDS if session.trusted else NODE_KINDS)
        standing = " as a trusted worker" if session.trusted else ""
        log.info("registered at %s%s; works on %s", client.transport.origin, standing, ", ".join(kinds))

        def register_again() -> None:
            client.register(about, stop=self.stop_event)

        return self._work(client, key, launcher, runtimes, kinds, register_again)

    def _stake(self, client: GatewayClient, key: NodeKey) -> None:
        """Join the chain where that was asked for. What goes wrong is told and tried again when a claim is refused."""
        settings = self.settings
        if not settings.stake_as_needed:
            return
        try:
            operator = key if settings.operator_key is None else NodeKey.load(settings.operator_key)
            info = client.info(stop=self.stop_event)
            if info.chain is None or info.chain.registry is None or info.stake is None:
                return
            for line in join_chain(info, key, operator, rpc=settings.rpc).done:
                log.info("on chain: %s", line)
        except KilnetError as error:
            log.warning("not staked: %s", error)

    def _work(
        self,
        client: GatewayClient,
        key: NodeKey,
        launcher: Launcher,
        runtimes: tuple[RuntimeClass, ...],
        kinds: tuple[WorkKind, ...],
        register_again: Callable[[], None],
    ) -> int:
        settings = self.settings
        outbox = Outbox(settings.data / "outbox")
        cache = AssetCache(settings.data / "cache", max_bytes=settings.cache_bytes)
        active: set[str] = set()

        def lost(ref: LeaseRef, error: GatewayError | None) -> None:
            log.info("lost: %s: %s", ref.title, error or "the job ended or another was first")
            outbox.drop(ref.lease)
            beats.remove(ref.lease)
            if isinstance(error, NotFound) and ref.job not in active:
                cache.forget(ref.job)

        def sent(ref: LeaseRef, kind: StepKind) -> None:
            beats.remove(ref.lease)
            if kind is not StepKind.COMPLETE or ref.kind != WorkKind.TILE:
                outbox.drop(ref.lease)

        def undeliverable(ref: LeaseRef, error: GatewayError) -> None:
            log.warning("not taken: %s: %s", ref.title, error)
            beats.remove(ref.lease)

        beats = Beats(client, lost)
        delivery = Delivery(outbox, client, on_sent=sent, on_lost=undeliverable)
        verdicts = Verdicts(outbox, client)
        for ref in outbox.waiting():
            log.info("still to be sent: %s", ref.title)
            beats.add(ref)
        shared = Shared(
            key, client, outbox, beats, cache, runtimes, self.stop_event, settings.grace_seconds,
            settings.runner.threads, active, register_again, settings.data / "models",
            lambda: self._stake(client, key),
        )  # fmt: skip
        keep = _WARM_NODE if WorkKind.TILE in kinds else _WARM_TRUSTED
        pool = RunnerPool(settings.data / "scratch" / "work", settings.runner, launcher, keep=keep)
        loops = [
            WorkLoop(
                shared,
                self._make_worker(pool),
                group,
                claim_seconds=settings.claim_seconds,
                once=settings.once,
                on_end=self._on_end,
            )
            for group in _lanes(kinds)
        ]
        self._running = len(loops)
        for thread in (beats, delivery, verdicts, *loops):
            thread.start()
        self._wait(delivery, cache, active)
        pool.close()
        return self._finish(outbox, delivery, beats, verdicts)

    def _on_end(self, error: Exception | None) -> None:
        with self._ended:
            self._running -= 1
            self._error = self._error or error
            if error is not None or self.settings.once:
                self.stop_event.set()
            self._ended.notify_all()

    def _wait(self, delivery: Delivery, cache: AssetCache, active: set[str]) -> None:
        tidy = time.monotonic() + _TIDY_SECONDS
        while True:
            with self._ended:
                if self._running == 0:
                    return
                self._ended.wait(0.2)
            if delivery.fatal is not None:
                self._error = self._error or delivery.fatal
                self.stop_event.set()
            if time.monotonic() > tidy:
                tidy = time.monotonic() + _TIDY_SECONDS
                for job, used in cache.jobs().items():
                    if time.time() - used > _JOB_IDLE_SECONDS and job not in active:
                        cache.forget(job)

    def _finish(self, outbox: Outbox, delivery: Delivery, beats: Beats, verdicts: Verdicts) -> int:
        if delivery.fatal is None and not outbox.wait_empty(max(2.0, self.settings.grace_seconds)):
            log.warning("%d leases wait to be sent; the next start sends them", len(outbox.waiting()))
        for thread in (delivery, beats, verdicts):
            thread.stop()
        delivery.join(2.0)
        if self._error is not None:
            raise self._error
        log.info("stopped; %d accepted, %d refused since the start", verdicts.accepted, verdicts.rejected)
        return 0


def _lanes(kinds: tuple[WorkKind, ...]) -> list[tuple[WorkKind, ...]]:
    """Audits get a work loop of their own beside other kinds: they are short, and a tile's payment waits for them. On a
    device that does tiles they wait: two renders at once would each take twice as long."""
    if WorkKind.TILE in kinds:
        return [kinds]
    audits = tuple(kind for kind in kinds if kind is WorkKind.AUDIT)
    others = tuple(kind for kind in kinds if kind is not WorkKind.AUDIT)
    return [lane for lane in (audits, others) if lane]


def folder_of(path: Path) -> Path:
    """An absolute data folder: sandboxes have no working directory in common with us."""
    return path.expanduser().resolve()
