"""API keys and the page's sign-in, over real HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from coordinator.auth import charge
from coordinator.errors import Forbidden
from coordinator.store.models import ApiKey, Job, SignInSession
from jobs.client import Client
from jobs.errors import BadInput, Refused, Unavailable
from jobs.manifest import Manifest
from jobs.pricing import UNIT
from jobs.spec import InferSpec
from jobs.typed_data import order_message, sign
from jobs.wire import ApiKeyCreated, CreateApiKey, Quote
from tests.coordinator.gateway.conftest import Served
from tests.coordinator.gateway.test_views import QUOTE
from tests.coordinator.world import Person


def _key(client: Client, **values: Any) -> ApiKeyCreated:
    return client.create_api_key(CreateApiKey(**({"name": "nightly", "spend_limit": 10 * UNIT} | values)))


def _bearer(served: Served, key: str) -> httpx.Client:
    return httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {key}"})


def _order(served: Served, job: str, owner: Person, cap: int) -> dict[str, Any]:
    deadline = int(served.world.db.now()) + 3600
    message = order_message(served.world.domain, job=job, client=owner.address, cap=cap, deadline=deadline)
    return {"cap": str(cap), "deadline": deadline, "order_signature": sign(message, owner.key)}


def test_a_key_acts_as_its_account_and_ends_when_it_is_revoked(served: Served) -> None:
    """It sees the account's jobs, may not make or end keys, is kept as a hash only, and is turned away once revoked."""
    world = served.world
    job = world.job(quote=QUOTE)
    with served.client(world.owner) as client, _bearer(served, "") as anyone:
        made = _key(client)
        with world.db.read() as session:
            assert made.key not in str([vars(row) for row in session.scalars(select(ApiKey))])
        anyone.headers["Authorization"] = f"Bearer {made.key}"
        assert [view["id"] for view in anyone.get("/v1/jobs").json()] == [job]
        for refused in (
            anyone.post("/v1/auth/keys", json={"name": "x", "spend_limit": None}),
            anyone.post(f"/v1/auth/keys/{made.info.id}/revoke"),
            anyone.post("/v1/auth/page/code"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "wallet_needed")
        client.revoke_api_key(made.info.id)
        served.gateway.forget(made.key)
        assert anyone.get("/v1/jobs").json()["code"] == "bad_key"
        assert [one.revoked_at is not None for one in client.api_keys()] == [True]
    with served.client(Person()) as stranger:
        assert stranger.api_keys() == []
        with pytest.raises(Exception, match="you have no key"):
            stranger.revoke_api_key(made.info.id)


def test_orders_stay_within_the_limit(served: Served) -> None:
    """Caps of open jobs and prices of ended ones count; what does not fit is refused with the amounts."""
    world = served.world
    with served.client(world.owner) as client:
        made = _key(client, spend_limit=15 * UNIT // 10)
        jobs = [world.job(quote={**QUOTE, "expires_at": world.db.now() + 900}, state="quoted") for _ in range(3)]
        with _bearer(served, made.key) as program:
            first = program.post(f"/v1/jobs/{jobs[0]}/accept", json=_order(served, jobs[0], world.owner, UNIT))
            assert first.status_code == 200, first.text
            second = program.post(f"/v1/jobs/{jobs[1]}/accept", json=_order(served, jobs[1], world.owner, UNIT))
            assert (second.status_code, second.json()["code"]) == (402, "spend_limit")
            assert "1.5" in second.json()["message"] and "nightly" in second.json()["message"]
            # The first ended and cost less than its cap: there is room again.
            with world.db.begin() as session:
                settled = {"price": str(UNIT // 4)}
                session.execute(update(Job).where(Job.id == jobs[0]).values(state="done", settlement=settled))
            third = program.post(f"/v1/jobs/{jobs[2]}/accept", json=_order(served, jobs[2], world.owner, UNIT))
            assert third.status_code == 200, third.text
        assert client.api_keys()[0].spent == UNIT // 4 + UNIT
        client.revoke_api_key(made.info.id)
        with world.db.begin() as session, pytest.raises(Forbidden, match="revoked"):
            charge(session, made.info.id, Quote.model_validate(QUOTE), now=world.db.now())


def test_a_key_has_a_quota_of_its_own(served: Served) -> None:
    """Beyond it the answer is 429 with a pause, while the wallet of the same account goes on."""
    with served.client(served.world.owner) as client:
        made = _key(client, calls_per_second=0.5)
        with _bearer(served, made.key) as program:
            answers = [program.get("/v1/jobs") for _ in range(8)]
        assert answers[0].status_code == 200 and answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
        client.jobs()


def test_limits_in_usd_a_day_and_in_all(served: Served) -> None:
    """At the rate of each job's quote; the day's limit has room again when the day is over, the total's has not."""
    world = served.world
    quote = {**QUOTE, "cap_usd": "0.100000", "cap": str(UNIT), "expires_at": world.db.now() + 900}
    with served.client(world.owner) as client:
        made = _key(client, spend_limit=None, usd_per_day="0.15", usd_total="0.25")
        jobs = [world.job(quote=quote, state="quoted") for _ in range(4)]

        def order(job: str) -> httpx.Response:
            with _bearer(served, made.key) as program:
                return program.post(f"/v1/jobs/{job}/accept", json=_order(served, job, world.owner, UNIT))

        assert order(jobs[0]).status_code == 200
        over = order(jobs[1])
        assert (over.status_code, over.json()["code"]) == (402, "spend_limit")
        assert "0.15 USD within 24 hours, 0.1 of it are used" in over.json()["message"]
        with world.db.begin() as session:
            yesterday = world.db.now() - 25 * 3600
            session.execute(update(Job).where(Job.id == jobs[0]).values(accepted_at=yesterday))
        assert order(jobs[1]).status_code == 200
        with world.db.begin() as session:
            session.execute(update(Job).where(Job.id == jobs[1]).values(accepted_at=yesterday))
        assert "may order for 0.25 USD, 0.2 of it" in order(jobs[2]).json()["message"]
        [view] = client.api_keys()
        assert (view.usd_spent, view.usd_today, view.usd_total) == (Decimal("0.2"), 0, Decimal("0.25"))


def test_jobs_a_day(served: Served) -> None:
    """The third job of a day is 429 with when there is room again; the same job sent again is not another."""
    world = served.world
    with served.client(world.owner) as client:
        made = _key(client, jobs_per_day=2)
        model = world.upload(world.owner, b"model", "model.onnx")
        shard = world.upload(world.owner, b"shard", "inputs/00000.npz")
        manifest = Manifest(main="model.onnx", assets=(model, shard))
        spec = InferSpec(items=1, shard_items=1)
        with Client(served.url, api_key=made.key, patience=2) as program:
            first = program.create_job(spec, manifest, idempotency_key="the-first")
            assert program.create_job(spec, manifest, idempotency_key="the-first").id == first.id
            program.create_job(spec, manifest, idempotency_key="the-second")
            with pytest.raises(Unavailable, match="2 jobs within 24 hours") as refused:
                program.create_job(spec, manifest, idempotency_key="the-third")
            assert refused.value.code == "jobs_per_day"
            with pytest.raises(Refused, match=f"is that of job {first.id}") as other:
                program.create_job(InferSpec(items=1, shard_items=1, name="b"), manifest, idempotency_key="the-first")
            assert other.value.code == "other_job"
            with pytest.raises(BadInput, match="beside it") as alone:
                program.accept(first.model_copy(update={"quote": Quote.model_validate(QUOTE)}), deadline_s=60)
            assert alone.value.code == "wallet_needed"
        client.create_job(spec, manifest, idempotency_key="the-third")
        assert client.api_keys()[0].jobs_today == 2


def test_calls_a_minute(served: Served) -> None:
    """A quota over a longer time beside that of a second."""
    with served.client(served.world.owner) as client:
        made = _key(client, calls_per_minute=3)
        with _bearer(served, made.key) as program:
            answers = [program.get("/v1/jobs") for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert "3 calls a minute" in answers[3].json()["message"]


def test_the_page_signs_in_with_a_cookie(served: Served) -> None:
    """By code (once), by key; the cookie is closed to scripts and other sites, and over after signing out."""
    world = served.world
    with served.client(world.owner) as client:
        url = client.page_url()
        made = _key(client)
    code = url.partition("#")[2]
    assert url.startswith(f"{served.url}/sign-in#") and len(code) == 43
    with httpx.Client(base_url=served.url) as page:
        opened = page.post("/v1/auth/page", json={"code": code})
        assert opened.json()["address"] == world.owner.address
        cookie = opened.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
        assert page.get("/v1/jobs").status_code == 200
        assert page.post("/v1/auth/page", json={"code": code}).json()["code"] == "code_lapsed"
        token = page.cookies["kilnet"]
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere.example"}):
            assert page.post("/v1/auth/page/leave", headers=headers).status_code == 403
        assert page.post("/v1/auth/page/leave", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 204
        page.cookies.set("kilnet", token)
        assert page.get("/v1/jobs").status_code == 401
    with httpx.Client(base_url=served.url) as page:
        assert page.post("/v1/auth/page", json={"api_key": made.key}).status_code == 200
        assert page.get("/v1/jobs").status_code == 200
        with served.client(world.owner) as client:
            client.revoke_api_key(made.info.id)
        served.gateway.forget(page.cookies["kilnet"])
        assert page.get("/v1/jobs").status_code == 401
        assert page.post("/v1/auth/page", json={"api_key": made.key}).json()["code"] == "bad_key"
        assert page.post("/v1/auth/page", json={}).status_code == 422
    with world.db.read() as session:
        assert all(len(row.token_hash) == 64 for row in session.scalars(select(SignInSession)))


def _kilnet(served: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    access = ["--gateway", served.url, "--key", "0x" + served.world.owner.key.hex()]
    command = [sys.executable, "-m", "coordinator.cli", *arguments, *access]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})


def test_the_commands(served: Served) -> None:
    """Created, listed with its limit, revoked; a link to the page; and one clear line for what cannot be."""
    made = json.loads(_kilnet(served, "keys", "create", "ci", "--spend-limit", "2.5", "--json").stdout)
    assert made["key"].startswith("kilnet_") and made["info"]["spend_limit"] == str(5 * UNIT // 2)
    usd = ("--usd-per-day", "5", "--usd-total", "100", "--jobs-per-day", "9")
    limited = json.loads(_kilnet(served, "keys", "create", "farm", *usd, "--json").stdout)["info"]
    assert limited["spend_limit"] is None and limited["usd_per_day"] == "5" and limited["jobs_per_day"] == 9
    listed = _kilnet(served, "keys", "list").stdout
    assert "2.500000" in listed and "0.00 of 100.00" in listed and "0 of 9" in listed
    assert "is revoked" in _kilnet(served, "keys", "revoke", made["info"]["id"]).stdout
    assert f"{served.url}/sign-in#" in _kilnet(served, "page").stdout
    for arguments, said in (
        (("keys", "create", "x", "--spend-limit", "-1"), "write an amount of KILN"),
        (("keys", "create", "x", "--spend-limit", "lots"), "write an amount of KILN"),
        (("keys", "create", "x", "--usd-total", "much"), "--usd-total 'much': write an amount of USD"),
        (("keys", "create", ""), "1 to 100 characters"),
        (("keys", "revoke", "../x"), "kilnet keys list"),
        (("keys", "revoke", "k000000000000"), "you have no key"),
    ):
        failed = _kilnet(served, *arguments)
        assert failed.returncode != 0 and said in failed.stderr and failed.stderr.count("\n") == 1, failed.stderr
