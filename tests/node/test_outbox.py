"""The outbox: nothing that was put in is lost, and nothing is sent out of order."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from jobs.errors import Refused
from jobs.manifest import Asset
from jobs.typed_data import acknowledgement_message, sign
from jobs.wire import Acknowledgement, Commit, Complete
from node.agent.verdicts import Verdicts
from node.gateway import GatewayClient, Transport
from node.keys import NodeKey
from node.outbox import Acknowledgements, Delivery, LeaseRef, Outbox, Step, StepKind
from tests.node.small_gateway import Answer, SmallGateway, error

DATA = b"result" * 50_000


def ref_of(lease: str) -> LeaseRef:
    return LeaseRef(lease, 1, "job", "tile", f"tile {lease}", 5.0)


def steps_of(outbox: Outbox, lease: str, data: bytes = DATA) -> list[Step]:
    """Commitment, upload and completion of a lease, its file written."""
    (outbox.folder(lease) / "result.zst").write_bytes(data)
    asset = Asset(path="result.zst", sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    commit = Commit(
        token=1, root="0x" + "00" * 32, cells=1, signature="0x" + "00" * 65, numerics_class="c", seconds=1.0
    )
    return [
        Step(StepKind.COMMIT, commit.model_dump_json()),
        Step(StepKind.UPLOAD, asset.model_dump_json(), "result.zst"),
        Step(StepKind.COMPLETE, Complete(token=1, blobs=(asset,), seconds=1.0).model_dump_json()),
    ]


def put(outbox: Outbox, lease: str, data: bytes = DATA) -> None:
    outbox.put(ref_of(lease), steps_of(outbox, lease, data))


class Courier:
    """A Delivery with what it reported."""

    def __init__(self, outbox: Outbox, client: GatewayClient) -> None:
        self.sent: list[tuple[str, StepKind]] = []
        self.lost: list[tuple[str, str]] = []
        self.thread = Delivery(
            outbox,
            client,
            on_sent=lambda ref, kind: self.sent.append((ref.lease, kind)),
            on_lost=lambda ref, error: self.lost.append((ref.lease, error.code)),
        )
        self.thread.start()

    def end(self) -> None:
        self.thread.stop()
        self.thread.join(5)


Hire = Callable[[Outbox, GatewayClient], Courier]


@pytest.fixture
def hire() -> Iterator[Hire]:
    """Starts couriers, which end with the test."""
    hired: list[Courier] = []

    def start(outbox: Outbox, client: GatewayClient) -> Courier:
        hired.append(Courier(outbox, client))
        return hired[-1]

    yield start
    for courier in hired:
        courier.end()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "outbox")
    yield made
    made.close()


def calls(gateway: SmallGateway) -> list[tuple[str, str]]:
    """What was asked for leases, in order: (lease, call)."""
    found = [path.split("/")[3:] for _, path, _ in gateway.calls if path.startswith("/v1/leases/")]
    return [(lease, call) for lease, call in found]


def test_steps_of_a_lease_are_sent_in_order(
    tmp_path: Path, gateway: SmallGateway, client: GatewayClient, outbox: Outbox, hire: Hire
) -> None:
    """Given three leases; then each is committed before it is completed, its file is there, and nothing is left."""
    for number in range(3):
        put(outbox, f"l{number}", DATA + bytes([number]))
    courier = hire(outbox, client)
    assert outbox.wait_empty(10)
    time.sleep(0.1)
    assert calls(gateway) == [(f"l{n}", call) for n in range(3) for call in ("commit", "complete")]
    assert sorted(gateway.blobs.values()) == sorted(DATA + bytes([n]) for n in range(3))
    assert courier.sent == [(f"l{n}", StepKind.COMPLETE) for n in range(3)]
    assert [ref.lease for ref in outbox.sent()] == ["l0", "l1", "l2"]
    assert list((tmp_path / "outbox" / "files").iterdir()) == []


def test_an_outage_loses_nothing(key: NodeKey, outbox: Outbox, hire: Hire) -> None:
    """Given a gateway that is gone; when results come meanwhile; then all arrive after it is back on its port."""
    first = SmallGateway()
    port = first.port
    first.close()
    transport = Transport(first.url, key, wait=lambda: repeat(0.05))
    courier = hire(outbox, GatewayClient(transport))
    put(outbox, "l1")
    put(outbox, "l2", b"other")
    time.sleep(0.5)
    assert len(outbox.waiting()) == 2
    back = SmallGateway(port)
    assert outbox.wait_empty(20)
    courier.end()
    back.close()
    transport.close()
    assert [call for call in calls(back) if call[1] == "complete"] == [("l1", "complete"), ("l2", "complete")]


def test_a_lost_lease_is_dropped_and_the_next_goes_on(
    gateway: SmallGateway, client: GatewayClient, outbox: Outbox, hire: Hire
) -> None:
    """409 lease_lost at the commitment: nothing more of that lease is sent, and the next one is delivered."""

    def lost(_method: str, path: str) -> Answer | None:
        return error(409, "lease_lost") if path == "/v1/leases/l1/commit" else None

    gateway.trouble = lost
    put(outbox, "l1", b"unwanted")
    put(outbox, "l2")
    courier = hire(outbox, client)
    assert outbox.wait_empty(10)
    assert calls(gateway) == [("l1", "commit"), ("l2", "commit"), ("l2", "complete")]
    assert courier.lost == [("l1", "lease_lost")]
    assert hashlib.sha256(b"unwanted").hexdigest() not in gateway.uploads


def test_what_the_gateway_calls_a_fault_is_reported_as_failure(
    gateway: SmallGateway, client: GatewayClient, outbox: Outbox, hire: Hire
) -> None:
    """422 at the commitment: the lease ends as failed with the reason: nobody waits for its expiry."""

    def refuse(_method: str, path: str) -> Answer | None:
        return error(422, "wrong_class") if path.endswith("/commit") else None

    gateway.trouble = refuse
    put(outbox, "l1")
    courier = hire(outbox, client)
    failed = gateway.wait_for("POST", "/v1/leases/l1/fail", seconds=10)
    assert outbox.wait_empty(10)
    courier.end()
    assert failed[0]["code"] == "refused_wrong_class"
    assert "said wrong_class" in failed[0]["message"]


def test_one_lease_that_meets_a_fault_does_not_hold_up_the_others(
    gateway: SmallGateway, client: GatewayClient, outbox: Outbox, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given 500 for one lease only; then the next is delivered, and the first when the gateway is mended."""
    monkeypatch.setattr("node.outbox.delivery._PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("node.outbox.delivery._POSTPONE_SECONDS", 0.1)
    broken = threading.Event()
    broken.set()

    def trouble(_method: str, path: str) -> Answer | None:
        return error(500, "oops") if path == "/v1/leases/l1/commit" and broken.is_set() else None

    gateway.trouble = trouble
    put(outbox, "l1")
    put(outbox, "l2", b"other")
    hire(outbox, client)
    gateway.wait_for("POST", "/v1/leases/l2/complete", seconds=10)
    assert "l1" in [ref.lease for ref in outbox.waiting()]
    broken.clear()
    gateway.wait_for("POST", "/v1/leases/l1/complete", seconds=10)


def test_files_without_steps_are_swept(tmp_path: Path) -> None:
    """A crash between file and transaction leaves a file that nobody speaks of: the next start removes it."""
    outbox = Outbox(tmp_path / "outbox")
    (outbox.folder("l1") / "result.zst").write_bytes(b"half")
    put(outbox, "l2")
    outbox.close()
    again = Outbox(tmp_path / "outbox")
    assert [p.name for p in (tmp_path / "outbox" / "files").iterdir()] == ["l2"]
    assert [ref.lease for ref in again.waiting()] == ["l2"]
    again.close()


@pytest.mark.parametrize("lease", ["", "..", "a/b", "a b", "/etc"])
def test_a_lease_is_never_a_path(outbox: Outbox, lease: str) -> None:
    """A gateway cannot name files outside the outbox."""
    with pytest.raises(ValueError, match="not a lease's id"):
        outbox.folder(lease)


WRITER = """
import sys
import time
from pathlib import Path
from node.outbox import Outbox
from tests.node.test_outbox import put
outbox = Outbox(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    put(outbox, f"{sys.argv[2]}x{number}", str(number).encode() * 1000)
    time.sleep(0.005)
    print(number, flush=True)
    number += 1
"""


def test_kill_9_at_any_moment_leaves_all_or_nothing(
    tmp_path: Path, gateway: SmallGateway, client: GatewayClient, hire: Hire
) -> None:
    """Given a process that puts results in, killed with -9 five times at different moments; then every lease that it
    had announced is there with all its steps and its file, and all of them are delivered."""
    announced: list[str] = []
    root = Path(__file__).resolve().parents[2]
    for attempt in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / "outbox"), f"r{attempt}"],
            stdout=subprocess.PIPE,
            cwd=root,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.02 + 0.013 * attempt)
        os.kill(child.pid, signal.SIGKILL)
        announced += [f"r{attempt}x{line.strip()}" for line in child.stdout if line.endswith("\n")]
        child.wait()
        child.stdout.close()
    assert len(announced) > 5
    outbox = Outbox(tmp_path / "outbox")
    waiting = [ref.lease for ref in outbox.waiting()]
    assert set(announced) <= set(waiting)
    for lease in waiting:
        number = lease.partition("x")[2]
        assert (outbox.folder(lease) / "result.zst").read_bytes() == number.encode() * 1000
    courier = hire(outbox, client)
    assert outbox.wait_empty(30)
    courier.end()
    outbox.close()
    done = [lease for lease, call in calls(gateway) if call == "complete"]
    assert sorted(done) == sorted(waiting)
    for lease in waiting:
        assert calls(gateway).index((lease, "commit")) < calls(gateway).index((lease, "complete"))


def word(key: NodeKey, lease: str, signer: bytes, **changes: Any) -> Acknowledgement:
    """A coordinator's word for a tile of this node."""
    fields = {"job": "job", "tile": 3, "lease": lease, "node": key.address, "amount": 5} | changes
    message = acknowledgement_message(chain_id=31337, bond="0x" + "44" * 20, root=bytes(32), **fields)
    who = str(Account.from_key(signer).address)
    return Acknowledgement(
        chain_id=31337,
        bond="0x" + "44" * 20,
        signer=who,
        root="0x" + "00" * 32,
        signature=sign(message, signer),
        **fields,
    )


def changed(database: Path, statement: str) -> None:
    """What somebody else does to a database."""
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute(statement)


def test_a_word_that_cannot_be_kept_is_asked_for_again(
    tmp_path: Path, gateway: SmallGateway, key: NodeKey, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that takes no row (a full disk): the tile waits, others are delivered meanwhile, and once it takes
    rows again the gateway gives the same word again. It was asked for each time."""
    monkeypatch.setattr("node.outbox.delivery._POSTPONE_SECONDS", 0.2)
    told = word(key, "l0", os.urandom(32))

    def tell(method: str, path: str) -> Answer | None:
        if path != "/v1/leases/l0/complete":
            return None
        body = {"state": "uploaded", "acknowledgement": told.model_dump(mode="json")}
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

    gateway.trouble = tell
    outbox = Outbox(tmp_path / "outbox")
    changed(tmp_path / "outbox" / "acknowledgements.sqlite", "ALTER TABLE acknowledgements RENAME TO away")
    put(outbox, "l0")
    put(outbox, "l1", b"other")
    courier = hire(outbox, GatewayClient(Transport(gateway.url, key)))
    gateway.wait_for("POST", "/v1/leases/l0/complete", count=2, seconds=10)
    assert courier.sent == [("l1", StepKind.COMPLETE)] and outbox.holds("l0")
    changed(tmp_path / "outbox" / "acknowledgements.sqlite", "ALTER TABLE away RENAME TO acknowledgements")
    assert outbox.wait_empty(10)
    courier.end()
    assert [one.told for one in outbox.acknowledgements.all()] == [told] and not courier.lost
    asked = [headers.get("prefer") for path, headers in gateway.headers if path.endswith("/complete")]
    assert asked and set(asked) == {"acknowledgement"}
    outbox.close()


def test_a_courier_that_cannot_go_on_says_why(tmp_path: Path, client: GatewayClient, hire: Hire) -> None:
    """An outbox that nobody can read any more ends its thread with a line, which ends the agent; it does not go on
    working for nothing."""
    outbox = Outbox(tmp_path / "outbox")
    courier = hire(outbox, client)
    changed(tmp_path / "outbox" / "outbox.sqlite", "ALTER TABLE steps RENAME TO away")
    courier.thread.join(10)
    assert not courier.thread.is_alive() and "start again" in str(courier.thread.fatal)
    assert isinstance(courier.thread.fatal, Refused)
    outbox.close()


def test_words_are_kept_until_a_verdict(tmp_path: Path, gateway: SmallGateway, hire: Hire) -> None:
    """Of six tiles the gateway acknowledges: a word that is sound is kept; one for another lease or node, or that
    another key signed, is thrown away and costs the tile nothing. A refusal takes the word away, a receipt does not:
    that is paid only when its job is. What is kept survives the agent."""
    key, coordinator = NodeKey(os.urandom(32)), os.urandom(32)
    client = GatewayClient(Transport(gateway.url, key))
    words = {f"l{n}": word(key, f"l{n}", coordinator) for n in range(2)}
    words["l2"] = word(key, "l1", coordinator)
    words["l3"] = word(key, "l3", coordinator, node="0x" + "55" * 20)
    words["l4"] = word(key, "l4", coordinator).model_copy(update={"amount": 6})
    words["l5"] = word(key, "l5", coordinator)

    def tell(method: str, path: str) -> Answer | None:
        *_, lease, call = path.split("/")
        if call != "complete":
            return None
        body = {"state": "uploaded", "acknowledgement": words[lease].model_dump(mode="json")}
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

    gateway.trouble = tell
    outbox = Outbox(tmp_path / "outbox")
    for lease in words:
        put(outbox, lease, DATA + lease.encode())
    courier = hire(outbox, client)
    assert outbox.wait_empty(10)
    until = time.monotonic() + 10
    while len(courier.sent) < len(words) and time.monotonic() < until:
        time.sleep(0.02)
    assert not courier.lost and sorted(lease for lease, _ in courier.sent) == sorted(words)
    assert [one.told for one in outbox.acknowledgements.all()] == [words["l0"], words["l1"], words["l5"]]
    assert [one.title for one in outbox.acknowledgements.all()] == ["tile l0", "tile l1", "tile l5"]

    gateway.statuses = {
        "l0": {"state": "rejected", "reason": "wrong"},
        "l1": {"state": "accepted"},
        "l5": {"state": "released"},
    }
    verdicts = Verdicts(outbox, client)
    verdicts.start()
    while {one.lease for one in outbox.sent()} & {"l0", "l1", "l5"} and time.monotonic() < until + 10:
        time.sleep(0.02)
    verdicts.stop()
    verdicts.join(5)
    assert (verdicts.accepted, verdicts.rejected) == (1, 1)
    courier.end()
    outbox.close()
    again = Acknowledgements(tmp_path / "outbox")
    assert [one.told for one in again.all()] == [words["l1"], words["l5"]]
    again.close()
