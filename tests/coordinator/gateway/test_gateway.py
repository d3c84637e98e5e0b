"""The protocol over real HTTP: statuses, bodies, long polls, uploads and events."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from sqlalchemy import select

from contracts.embedded import EmbeddedChain
from coordinator.events import record
from coordinator.gateway import limits
from coordinator.judging import draw, judge
from coordinator.store.models import Lease
from jobs.client import Client
from jobs.typed_data import commitment_message, completion_message, sign, sign_text
from jobs.wire import LeaseOffer
from tests.contracts.conftest import make_stack
from tests.coordinator.gateway.conftest import Served
from tests.coordinator.gateway.test_views import QUOTE
from tests.coordinator.world import CLASS, Person, true_bytes
from verification.commitment import commit as commit_tile

REGISTRATION: dict[str, Any] = {
    "protocol": 1, "agent_version": "1", "sandboxed": True, "memory_bytes": 1, "ask_usd_per_kiln_hour": 0.1,
    "runtimes": [
        {"runtime": "onnxruntime", "version": "1.31.1", "device": "CPU", "numerics_class": CLASS, "score": 1.0}
    ],
}  # fmt: skip


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30) as client:
        yield client


def sign_in(http: httpx.Client, person: Person) -> dict[str, str]:
    message = http.post("/v1/auth/nonce", json={"address": person.address}).json()["message"]
    body = {"address": person.address, "message": message, "signature": sign_text(message, person.key)}
    answer = http.post("/v1/auth/login", json=body)
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def registered(http: httpx.Client, person: Person) -> dict[str, str]:
    """A worker that is signed in and registered."""
    headers = sign_in(http, person)
    assert http.post("/v1/nodes/register", json=REGISTRATION, headers=headers).status_code == 200
    return headers


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The message of a refusal, which has the one shape that all have."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"code", "message"} and body["code"] == code
    assert "\n" not in body["message"] and "Traceback" not in body["message"]
    return str(body["message"])


def test_every_failure_has_one_shape(http: httpx.Client, served: Served) -> None:
    """Unknown paths and methods, no session, bodies that are no JSON or break a rule: {code, message}, one line."""
    me = sign_in(http, Person())
    refused(http.get("/v1/nowhere"), 404, "not_found")
    refused(http.put("/v1/jobs"), 405, "method_not_allowed")
    refused(http.get("/v1/jobs"), 401, "not_signed_in")
    refused(http.get("/v1/jobs", headers={"Authorization": "Bearer " + "x" * 9000}), 401, "not_signed_in")
    refused(http.get("/v1/jobs/nobody", headers=me), 404, "not_found")
    refused(http.get(f"/v1/jobs/{'x' * 2000}", headers=me), 422, "bad_input")
    refused(http.get("/v1/nodes/me", headers=me), 404, "not_registered")
    refused(http.get(f"/v1/blobs/{'0' * 64}", headers=me), 404, "not_found")
    refused(http.get("/v1/blobs/..%2f..%2fetc", headers=me), 404, "not_found")
    refused(http.get("/v1/blobs/ABC", headers=me), 422, "bad_input")
    refused(http.post("/v1/jobs", content=b"{not json", headers=me), 422, "bad_input")
    refused(http.post("/v1/jobs", content=b"[" * 100_000, headers=me), 422, "bad_input")
    refused(http.post("/v1/auth/nonce", content=b"\xff\xfe"), 422, "bad_input")
    message = refused(http.post("/v1/auth/nonce", json={"address": "0x1"}), 422, "bad_input")
    assert message.startswith("address: ")
    body = {"kinds": ["tile"], "runtimes": [], "wait_seconds": 1e9}
    assert "wait_seconds" in refused(http.post("/v1/leases/claim", json=body, headers=me), 422, "bad_input")
    refused(http.post("/v1/leases/claim", json={"runtimes": [CLASS]}, headers=me), 403, "not_registered")
    beat = {"token": 10**40, "progress": 0.5}
    refused(http.post("/v1/leases/l123/heartbeat", json=beat, headers=me), 404, "not_found")


def test_a_body_over_its_limit(http: httpx.Client, served: Served) -> None:
    """Nobody makes the gateway read more than a call may have; strangers are not read at all."""
    me = sign_in(http, Person())
    refused(http.post("/v1/auth/nonce", content=b"x" * 20_000), 413, "too_large")
    refused(http.post("/v1/leases/claim", content=b"x" * (2 << 20), headers=me), 413, "too_large")
    sha = hashlib.sha256(b"x").hexdigest()
    chunk = {"Upload-Offset": "0", "Upload-Length": str(1 << 30)}
    big = b"x" * (served.settings.limits.max_chunk_bytes + 1)
    refused(http.patch(f"/v1/blobs/{sha}/upload", content=big, headers=me | chunk), 413, "too_large")
    refused(http.patch(f"/v1/blobs/{sha}/upload", content=iter([big]), headers=me | chunk), 413, "too_large")
    refused(http.post("/v1/jobs", content=b"x" * 1000), 401, "not_signed_in")


def test_sessions_end_with_the_right_answers(http: httpx.Client, served: Served) -> None:
    """A wrong signature and a used text are 401 with codes of their own; a wrong version of the protocol is 426."""
    person = Person()
    message = http.post("/v1/auth/nonce", json={"address": person.address}).json()["message"]
    assert served.url in message
    wrong = {"address": person.address, "message": message, "signature": sign_text(message, Person().key)}
    refused(http.post("/v1/auth/login", json=wrong), 401, "bad_signature")
    refused(http.post("/v1/auth/login", json=wrong), 401, "nonce_lapsed")
    me = sign_in(http, person)
    newer = {**REGISTRATION, "protocol": 2, "something_new": True}
    refused(http.post("/v1/nodes/register", json=newer, headers=me), 426, "upgrade")
    refused(http.post("/v1/nodes/register", json={"protocol": 2}, headers=me), 426, "upgrade")
    refused(http.post("/v1/nodes/register", json={**REGISTRATION, "typing_error": 1}, headers=me), 422, "bad_input")
    assert http.post("/v1/nodes/register", json=REGISTRATION, headers=me).json()["online"] is True
    assert http.get("/v1/nodes/me", headers=me).json()["address"] == person.address
    assert [node["address"] for node in http.get("/v1/nodes", headers=me).json()] == [person.address]


def test_the_whole_way_of_a_tile(http: httpx.Client, served: Served) -> None:
    """Claim, heartbeat, commit, upload in pieces, complete, verdict: as docs/node-protocol.md tells it; each call
    twice, with the same answer."""
    world = served.world
    world.worker(world.trusted)
    job = world.job(1, quote=QUOTE)
    asset = world.keep_asset(job, b"the model")
    person = Person()
    me = registered(http, person)
    refused(http.get(f"/v1/blobs/{asset}", headers=me), 404, "not_found")
    claimed = http.post("/v1/leases/claim", json={"runtimes": [CLASS], "wait_seconds": 5}, headers=me)
    offer = LeaseOffer.model_validate_json(claimed.content)
    assert http.get(f"/v1/blobs/{asset}", headers=me).content == b"the model"
    assert offer.tile is not None and offer.contract is not None
    path = f"/v1/leases/{offer.id}"
    data = true_bytes(offer.tile)  # type: ignore[arg-type]
    root = commit_tile(offer.id, offer.contract, offer.tile, data).root
    message = commitment_message(world.domain, lease=offer.id, token=offer.token, root=root, cells=6)
    commit = {
        "token": offer.token, "root": "0x" + root.hex(), "cells": 6, "numerics_class": CLASS, "seconds": 1.0,
        "signature": sign(message, person.key),
    }  # fmt: skip
    blob = zstandard.compress(data)
    sha = hashlib.sha256(blob).hexdigest()
    delivered = completion_message(
        world.domain, lease=offer.id, token=offer.token, root=root, result=bytes.fromhex(sha)
    )
    complete = {
        "signature": sign(delivered, person.key),
        "token": offer.token, "blobs": [{"path": "result.zst", "sha256": sha, "size": len(blob)}], "seconds": 1.0
    }  # fmt: skip
    beat = {"token": offer.token, "progress": 0.5}
    for _ in range(2):
        assert http.post(f"{path}/heartbeat", json=beat, headers=me).json()["cancel"] is False
    for _ in range(2):
        assert http.post(f"{path}/commit", json=commit, headers=me).json() == {"root": "0x" + root.hex()}
    other = {**commit, "root": "0x" + "11" * 32}
    assert http.post(f"{path}/commit", json=other, headers=me).status_code in (409, 422)
    assert http.get(f"/v1/blobs/{sha}/upload", headers=me).json() == {"offset": 0}
    half = len(blob) // 2
    chunk = {"Upload-Offset": "0", "Upload-Length": str(len(blob))}
    answer = http.patch(f"/v1/blobs/{sha}/upload", content=blob[:half], headers=me | chunk)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(half))
    answer = http.patch(f"/v1/blobs/{sha}/upload", content=blob, headers=me | chunk)
    refused(answer, 409, "wrong_offset")
    assert answer.headers["Upload-Offset"] == str(half)
    chunk["Upload-Offset"] = str(half)
    for _ in range(2):
        assert http.patch(f"/v1/blobs/{sha}/upload", content=blob[half:], headers=me | chunk).status_code == 204
    assert http.get(f"/v1/blobs/{sha}/upload", headers=me).json() == {"offset": len(blob)}
    others = {**complete, "signature": sign(message, person.key)}
    for unsigned in (others, {**complete, "signature": None}):
        refused(http.post(f"{path}/complete", json=unsigned, headers=me), 422, "bad_signature")
    for _ in range(2):
        assert http.post(f"{path}/complete", json=complete, headers=me).json() == {"state": "uploaded"}
    draw(world.db, world.settings, offer.id)
    audit = world.claim(world.trusted, *["audit"])  # type: ignore[list-item]
    assert audit is not None
    world.do_audit(world.trusted, audit)
    judge(world.db, world.settings, offer.id)
    told = http.get(path, headers=me).json()
    assert told["state"] == "accepted" and told["receipt"]["node"] == person.address
    refused(http.get(path, headers=sign_in(http, Person())), 404, "not_found")
    owner = sign_in(http, world.owner)
    (tile,) = http.get(f"/v1/jobs/{job}/tiles", headers=owner).json()
    assert (tile["state"], tile["node"], tile["price"]) == ("done", person.address, str(10**17))
    (receipt,) = http.get(f"/v1/jobs/{job}/receipts", headers=owner).json()
    assert receipt["result"] == sha and http.get(f"/v1/blobs/{sha}", headers=owner).content == blob
    assert http.get(f"/v1/jobs/{job}/bundle", headers=owner).json()["receipts"] == [receipt]
    for path in ("", "/tiles", "/outputs", "/receipts", "/bundle", "/events"):
        refused(http.get(f"/v1/jobs/{job}{path}", headers=me), 404, "not_found")


def _claim_in_thread(served: Served, headers: dict[str, str], seconds: float) -> tuple[threading.Thread, list[Any]]:
    got: list[Any] = []

    def claim() -> None:
        body = {"runtimes": [CLASS], "wait_seconds": seconds}
        with httpx.Client(base_url=served.url, timeout=30) as http:
            begun = time.monotonic()
            answer = http.post("/v1/leases/claim", json=body, headers=headers)
            got.extend([answer, time.monotonic() - begun])

    thread = threading.Thread(target=claim)
    thread.start()
    return thread, got


def test_a_claim_waits_for_work(http: httpx.Client, served: Served) -> None:
    """204 when nothing came up in time; the work at once when it does, with the broker and without it."""
    me = registered(http, Person())
    begun = time.monotonic()
    body = {"runtimes": [CLASS], "wait_seconds": 0.3}
    assert http.post("/v1/leases/claim", json=body, headers=me).status_code == 204
    assert 0.2 < time.monotonic() - begun < 3
    for broken in (False, True):
        if broken:
            served.broker.kill()
        thread, got = _claim_in_thread(served, me, 20)
        time.sleep(0.5)
        served.world.job(1, quote=QUOTE)
        thread.join(20)
        assert got[0].status_code == 200 and got[1] < 10


def test_a_worker_that_hangs_up_gets_no_lease(http: httpx.Client, served: Served) -> None:
    """Work that comes up after the connection of a waiting claim was closed goes to somebody else at once."""
    me = registered(http, Person())
    body = json.dumps({"runtimes": [CLASS], "wait_seconds": 20}).encode()
    address = httpx.URL(served.url)
    with socket.create_connection((address.host, address.port)) as line:
        line.sendall(
            b"POST /v1/leases/claim HTTP/1.1\r\nHost: x\r\nAuthorization: " + me["Authorization"].encode()
            + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )  # fmt: skip
        time.sleep(0.3)
    time.sleep(0.2)
    served.world.job(1, quote=QUOTE)
    time.sleep(1.5)
    with served.world.db.read() as session:
        states = session.scalars(select(Lease.state)).all()
    assert "active" not in states
    answer = http.post("/v1/leases/claim", json={"runtimes": [CLASS], "wait_seconds": 0}, headers=me)
    assert answer.status_code == 200


def test_ranges(http: httpx.Client, served: Served) -> None:
    """Downloads resume anywhere; what cannot be is refused; a blob of no bytes is a blob."""
    data = random.Random(3).randbytes(100_000)
    sha = served.world.keep_asset(served.world.job(), data)
    empty = hashlib.sha256(b"").hexdigest()
    me = sign_in(http, served.world.owner)
    assert http.post(
        "/v1/blobs/missing", json={"blobs": [{"sha256": sha, "size": 100_000}, {"sha256": empty, "size": 0}]},
        headers=me,
    ).json() == {"blobs": []}  # fmt: skip
    assert http.get(f"/v1/blobs/{empty}", headers=me).content == b""
    url = f"/v1/blobs/{sha}"
    whole = http.get(url, headers=me)
    assert whole.content == data and whole.headers["Accept-Ranges"] == "bytes"
    for asked, start, stop in (
        ("0-0", 0, 1),
        ("99990-", 99_990, 100_000),
        ("-7", 99_993, 100_000),
        ("5-999999", 5, 100_000),
    ):
        part = http.get(url, headers=me | {"Range": f"bytes={asked}"})
        assert part.status_code == 206 and part.content == data[start:stop]
        assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/100000"
    for asked in ("bytes=9-2", "bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=" + "9" * 50 + "-"):
        assert http.get(url, headers=me | {"Range": asked}).status_code == 200
    past = http.get(url, headers=me | {"Range": "bytes=100000-"})
    refused(past, 416, "outside_range")
    assert past.headers["Content-Range"] == "bytes */100000"
    head = http.head(url, headers=me)
    assert head.headers["Content-Length"] == "100000" and head.content == b""
    assert http.get(url, headers=me | {"If-None-Match": whole.headers["ETag"]}).status_code == 304


def test_the_client_uploads_follows_and_fetches(served: Served, tmp_path: Path) -> None:
    """The SDK's own client against the real gateway: a file with several chunks, events until the end, a download."""
    data = random.Random(4).randbytes((8 << 20) + 12345)
    (tmp_path / "scene.blend").write_bytes(data)
    (tmp_path / "empty").write_bytes(b"")
    from jobs.manifest import Manifest, hash_file

    assets = tuple(hash_file(tmp_path / name, relative_to=tmp_path) for name in ("scene.blend", "empty"))
    manifest = Manifest(main="scene.blend", assets=assets)
    sources = {asset.path: tmp_path / asset.path for asset in assets}
    world = served.world
    with served.client(world.owner) as client:
        assert client.upload(manifest, sources) == len(data)
        assert client.upload(manifest, sources) == 0
        client.download(assets[0].sha256, tmp_path / "back", size=len(data))
        assert (tmp_path / "back").read_bytes() == data
        job = world.job(quote=QUOTE)
        assert [view.id for view in client.jobs()] == [job] and client.job(job).tiles == 3
        seen = _follow(client, job, served)
        assert [event.data["n"] for event in seen] == [0, 1, 2]


def _follow(client: Client, job: str, served: Served) -> list[Any]:
    from sqlalchemy import update

    from coordinator.store.models import Job

    def tell() -> None:
        for number in range(3):
            time.sleep(0.1)
            with served.world.db.begin() as session:
                record(session, job, "tile", {"n": number})
                if number == 2:
                    session.execute(update(Job).where(Job.id == job).values(state="done"))

    thread = threading.Thread(target=tell)
    thread.start()
    seen = list(client.events(job))
    thread.join()
    return seen


def test_too_many_calls(http: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls too often is told how long to wait, also while the broker is away; others are not."""
    me, other = sign_in(http, Person()), sign_in(http, Person())
    slow = limits.Rate("test", 0.5, 2)
    monkeypatch.setattr("coordinator.gateway.context.ACCOUNT", slow)
    for broken in (False, True):
        if broken:
            served.broker.kill()
            time.sleep(0.1)
        statuses = [http.get("/v1/jobs", headers=me).status_code for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        answer = http.get("/v1/jobs", headers=me)
        refused(answer, 429, "slow_down")
        assert 1 <= int(answer.headers["Retry-After"]) <= 3
    assert http.get("/v1/jobs", headers=other).status_code == 200


def test_what_the_gateway_says_of_itself(http: httpx.Client, served: Served) -> None:
    """With the chain away it is degraded, says so, and works; metrics count what is in the database."""
    info = http.get("/v1/info").json()
    assert info["chain"] is None and info["origin"] == served.url and info["protocol"] == 1
    health = http.get("/healthz")
    assert health.status_code == 200
    assert {name: health.json()[name] for name in ("status", "database", "broker", "chain")} == {
        "status": "degraded", "database": True, "broker": True, "chain": False,
    }  # fmt: skip
    served.world.job()
    refused(http.get("/v1/accounts/me", headers=sign_in(http, served.world.owner)), 503, "unavailable")
    metrics = http.get("/metrics").text
    assert 'kilnet_jobs{kind="infer",state="running"} 1.0' in metrics
    assert 'kilnet_work{kind="tile",state="pending"} 3.0' in metrics
    assert 'kilnet_request_seconds_bucket{le="0.1",method="GET",route="/v1/info"}' in metrics


def test_a_fault_of_ours_shows_nothing(http: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure inside is 500 with a reference into the log; the caller sees nothing of it, and the gateway goes on."""
    me = sign_in(http, Person())

    def broken(*_: object, **__: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr("coordinator.views.job_views", broken)
    message = refused(http.get("/v1/jobs", headers=me), 500, "internal")
    assert "secret" not in message
    monkeypatch.undo()
    assert http.get("/v1/jobs", headers=me).json() == []


@pytest.mark.chain
def test_with_a_chain(http: httpx.Client, served: Served, tmp_path: Path) -> None:
    """Clients are told where the contracts are and what their account holds; when the chain is killed, that there is
    none."""
    with EmbeddedChain(tmp_path / "chain.json") as chain:
        stack = make_stack(chain, tmp_path)
        files = tmp_path / "deployed.json"
        stack.addresses.save(files)
        settings = served.settings.chain.model_copy(
            update={"rpc_url": chain.url, "public_rpc_url": chain.url, "addresses_file": files}
        )
        served.gateway.settings = served.settings.model_copy(update={"chain": settings})
        told = http.get("/v1/info").json()["chain"]
        assert (told["escrow"], told["rpc_url"]) == (stack.addresses.escrow, chain.url)
        assert http.get("/healthz").json()["status"] == "ok"
        person = Person()
        stack.faucet.transfer(person.address, 7 * 10**18)
        me = sign_in(http, person)
        assert http.get("/v1/accounts/me", headers=me).json() == {
            "address": person.address, "balance": str(7 * 10**18), "permit_nonce": 0
        }  # fmt: skip
    time.sleep(3.1)  # an answer is kept for 3 s
    assert http.get("/v1/info").json()["chain"] is None
    refused(http.get("/v1/accounts/me", headers=me), 503, "unavailable")
