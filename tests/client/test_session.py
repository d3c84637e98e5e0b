"""Keys, sign-in, patience and events."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from coordinator import events
from jobs.client import Client, address_of, read_key
from jobs.client.calls import origin_of
from jobs.errors import BadInput, Refused, Unavailable
from tests.client.conftest import Faults
from tests.coordinator.gateway.conftest import Served

KEY = "0x" + "4c" * 32


def test_read_key(tmp_path: Path) -> None:
    """A key is read from hex or from a file, and an error never repeats what may be one."""
    (tmp_path / "key").write_text(KEY + "\n")
    assert read_key(KEY) == read_key(str(tmp_path / "key")) == b"\x4c" * 32
    assert address_of(read_key(KEY)).startswith("0x")
    secret = "4c" * 31
    for wrong in (secret, "0x" + "00" * 32, str(tmp_path)):
        with pytest.raises(BadInput) as error:
            read_key(wrong)
        assert secret not in str(error.value)


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://", "http://user@host", "http://host/?q=1"])
def test_origin_refuses_what_is_no_gateway(url: str) -> None:
    """Only plain http and https addresses name a gateway."""
    with pytest.raises(BadInput):
        origin_of(url)


def test_sign_in_is_refused_at_another_origin(served: Served) -> None:
    """A gateway that asks to sign for another origin gets no signature: it could use it there."""
    other = served.url.replace("127.0.0.1", "localhost")
    faults = Faults()
    with Client(other, served.world.owner.key, patience=1, transport=faults) as client, pytest.raises(Refused) as error:
        client.jobs()
    assert error.value.code == "wrong_origin"
    assert ("POST", "/v1/auth/login") not in faults.calls


def test_a_session_that_ended_is_renewed(faulty: tuple[Client, Faults]) -> None:
    """A token that the gateway does not know leads to one new sign-in, unseen by the caller."""
    client, faults = faulty
    assert client.jobs() == []
    session = client._account.calls.session
    assert session is not None
    client._account.calls.session = session.model_copy(update={"token": "x" * 43})
    assert client.jobs() == []
    assert [path for _, path in faults.calls].count("/v1/auth/login") == 2


def test_nobody_there_is_unavailable() -> None:
    """Where no gateway listens, the error says so after the patience, and not before a second try."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with Client(url, bytes.fromhex(KEY[2:]), patience=0.6) as client, pytest.raises(Unavailable, match="is it running"):
        client.info()
    assert 0.2 < time.monotonic() - started < 5


def test_unknown_job_is_refused(faulty: tuple[Client, Faults]) -> None:
    """The gateway's own word and line come through."""
    client, _ = faulty
    with pytest.raises(Refused) as error:
        client.job("nothere")
    assert error.value.code == "not_found"


def test_events_resume_after_a_broken_connection(served: Served, faulty: tuple[Client, Faults]) -> None:
    """Every event is seen once and in order, although the connection is cut in between and the last comes later."""
    client, faults = faulty
    world = served.world
    job = world.job(tiles=1, state="running")
    with world.db.begin() as session:
        for number in range(5):
            events.record(session, job, "tile", {"number": number})
    streams: list[str | None] = []

    def cut(request: httpx.Request) -> int | None:
        if request.url.path.endswith("/events"):
            streams.append(request.headers.get("Last-Event-ID"))
            return 140 if len(streams) == 1 else None
        return None

    faults.cut = cut

    def finish() -> None:
        time.sleep(0.5)
        from coordinator.store.models import Job

        with world.db.begin() as session:
            events.record(session, job, "tile", {"number": 5})
            row = session.get(Job, job)
            assert row is not None
            row.state = "done"

    thread = threading.Thread(target=finish)
    thread.start()
    seen = [event.data["number"] for event in client.events(job) if event.type == "tile"]
    thread.join()
    assert seen == [0, 1, 2, 3, 4, 5]
    assert len(streams) >= 2 and streams[0] is None and streams[1] is not None
