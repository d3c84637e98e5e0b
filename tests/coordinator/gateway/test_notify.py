"""Notices: to a real HTTP server and a real SMTP server, signed, again until taken, never into a private network."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import update

from coordinator import views
from coordinator.config import NotifySettings, SmtpSettings
from coordinator.errors import Conflict, SlowDown
from coordinator.notify import add_target, confirm_target, put_notices, send_due, target_views
from coordinator.notify.guard import resolve
from coordinator.states import change_job
from coordinator.store.models import Job, Notice
from jobs.client import read_webhook
from jobs.errors import Refused
from jobs.states import JobState, WorkKind
from jobs.tiles import RenderTile
from jobs.wire import AddTarget
from tests.coordinator.gateway.conftest import Served
from tests.coordinator.world import Person, World


class Receiver(ThreadingHTTPServer):
    """Answers with the statuses that it is given, then with 204; keeps what came."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers.items()), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class _Mailbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.refuse = ""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it so
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[_Mailbox, SmtpSettings]]:
    from aiosmtpd.controller import Controller

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    box = _Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, SmtpSettings(host="127.0.0.1", port=port, security="none", sender="kilnet <notices@farm.example>")
    controller.stop()


def _allow(world: World, smtp: SmtpSettings | None = None) -> None:
    world.settings = world.settings.model_copy(update={"notify": NotifySettings(allow_private=True, smtp=smtp)})


def _failed(world: World) -> str:
    spec = {"kind": "render", "deadline_s": 60}
    job = world.job(0, kind="render", name="harbour\r\nBcc: x@y.example", spec=spec, quote=None)
    with world.db.begin() as session:
        tile = RenderTile(frames=(17,), rect=(0, 0, 8, 8), samples=(0, 8))
        world.add_work(session, job, WorkKind.TILE, 3, tile)
        row = session.get_one(Job, job)
        error = "tile 3: Image texture 'scales.exr' cannot be read (after 6 attempts)"
        change_job(session, row, JobState.SETTLING, outcome="failed", error_code="too_many_attempts", error=error)
        change_job(session, row, JobState.FAILED)
    return job


def test_a_webhook_is_signed_and_sent_until_it_is_taken(world: World, receiver: Receiver) -> None:
    """The frame and what to do are in it; after an error it comes again with the same id, after a success not any more;
    a move that is written twice is told once."""
    _allow(world)
    added = add_target(world.db, world.settings, owner=world.owner.address, body=AddTarget(address=receiver.url))
    assert added.secret is not None and added.target.confirmed
    job = _failed(world)
    with world.db.begin() as session:
        put_notices(session, session.get_one(Job, job), JobState.FAILED)
    receiver.statuses = [500, 302]
    clock: Any = world.db._clock
    assert send_due(world.db, world.settings) == 0
    assert send_due(world.db, world.settings) == 0 and len(receiver.got) == 1, "not before its pause is over"
    clock.now += 11
    assert send_due(world.db, world.settings) == 0, "a redirect is no success, and is not followed"
    clock.now += 31
    assert send_due(world.db, world.settings) == 1
    clock.now += 10_000
    assert send_due(world.db, world.settings) == 0
    notices = [read_webhook(added.secret, headers, body) for headers, body in receiver.got]
    assert len(notices) == 3 and len({one["id"] for one in notices}) == 1
    assert notices[0]["job"] == job and notices[0]["frames"] == [17] and "scales.exr" in notices[0]["error"]
    assert "submit again" in notices[0]["advice"]
    with world.db.read() as session:
        seen = views.job_view(session, world.settings, session.get_one(Job, job), now=world.db.now())
    assert seen.advice == notices[0]["advice"], "the page and the command line say what the notice says"
    with world.db.read() as session:
        [view] = target_views(session, world.owner.address)
        assert (view.sent, view.waiting, view.given_up) == (1, 0, 0)
    headers, body = receiver.got[0]
    for secret, changed, told in (("other", body, "not signed"), (added.secret, body + b" ", "not signed")):
        with pytest.raises(Refused, match=told):
            read_webhook(secret, headers, changed)
    with pytest.raises(Refused, match="too long ago"):
        read_webhook(added.secret, headers, body, tolerance=-1e9)


def test_one_of_two_senders_sends(world: World, receiver: Receiver) -> None:
    """Two processes at once: each notice goes out once. What a process took and never sent is taken up again."""
    _allow(world)
    add_target(world.db, world.settings, owner=world.owner.address, body=AddTarget(address=receiver.url))
    for _ in range(3):
        _failed(world)
    threads = [threading.Thread(target=send_due, args=(world.db, world.settings)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.got) == 3
    with world.db.begin() as session:
        now = world.db.now()
        session.execute(update(Notice).values(state="pending", next_at=now + 120, attempts=1))
    assert send_due(world.db, world.settings) == 0
    with world.db.begin() as session:
        session.execute(update(Notice).values(next_at=now))
    assert send_due(world.db, world.settings) == 3


def test_who_wants_no_more_gets_no_more(world: World, receiver: Receiver) -> None:
    """410 ends a notice; only the events that were asked for are told."""
    _allow(world)
    body = AddTarget(address=receiver.url, events=("preview",))
    add_target(world.db, world.settings, owner=world.owner.address, body=body)
    _failed(world)
    job = world.job(1)
    with world.db.begin() as session:
        change_job(session, session.get_one(Job, job), JobState.REVIEW)
    receiver.statuses = [410]
    send_due(world.db, world.settings)
    told = json.loads(receiver.got[0][1])
    assert len(receiver.got) == 1 and told["event"] == "preview" and f"kilnet approve {job}" in told["advice"]
    with world.db.read() as session:
        assert target_views(session, world.owner.address)[0].given_up == 1


def test_mail(world: World, mailbox: tuple[_Mailbox, SmtpSettings]) -> None:
    """Only a confirmed address is told; the code is guessed five times at most; a name with line breaks stays one
    line; the mail names reason, frame, remedy and page."""
    box, smtp = mailbox
    _allow(world, smtp)
    owner = world.owner.address
    added = add_target(world.db, world.settings, owner=owner, body=AddTarget(address="ada@studio.example"))
    assert added.secret is None and not added.target.confirmed
    _failed(world)
    assert send_due(world.db, world.settings) == 0
    [asked] = box.mails
    code = asked.get_content().split("kilnet notify confirm ")[1].split()[1]
    with pytest.raises(Conflict, match="not the code"):
        confirm_target(world.db, owner=owner, target=added.target.id, code="wrong")
    confirm_target(world.db, owner=owner, target=added.target.id, code=code)
    job = _failed(world)
    assert send_due(world.db, world.settings) == 1
    mail = box.mails[1]
    assert mail["To"] == "ada@studio.example" and mail["Subject"] == "harbour Bcc: x@y.example has failed"
    assert mail["Bcc"] is None and mail["Message-ID"].startswith("<n")
    for told in ("scales.exr", "Frame: 17", "What to do:", f"/jobs/{job}"):
        assert told in mail.get_content()
    box.refuse = "550 no such user"
    _failed(world)
    send_due(world.db, world.settings)
    with world.db.read() as session:
        [view] = target_views(session, owner)
    assert view.given_up == 1 and "refuses the address" in (view.last_error or "")
    box.refuse = ""
    other = add_target(world.db, world.settings, owner=owner, body=AddTarget(address="bob@studio.example")).target.id
    for _ in range(5):
        with pytest.raises(Conflict, match="not the code"):
            confirm_target(world.db, owner=owner, target=other, code="0")
    with pytest.raises(Conflict, match="too many"):
        confirm_target(world.db, owner=owner, target=other, code=code)
    with pytest.raises(SlowDown, match="mailed to this address"):
        for _ in range(6):
            add_target(world.db, world.settings, owner=Person().address, body=AddTarget(address="bob@studio.example"))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "10.0.0.8", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "::1", "fd00::1", "fe80::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "2130706433",
        "0x7f000001", "127.1",
    ],
)  # fmt: skip
def test_private_addresses_are_refused(host: str) -> None:
    """However they are written."""
    with pytest.raises(Refused, match="private network") as refused:
        resolve(host, 80, allow_private=False)
    assert refused.value.code == "private_address"
    assert resolve("93.184.215.14", 443, allow_private=False) == "93.184.215.14"


def test_the_guard_stands_at_the_connection(world: World, receiver: Receiver) -> None:
    """What was allowed when it was added and is not any more is not connected to; nothing arrives."""
    _allow(world)
    add_target(world.db, world.settings, owner=world.owner.address, body=AddTarget(address=receiver.url))
    _failed(world)
    world.settings = world.settings.model_copy(update={"notify": NotifySettings()})
    assert send_due(world.db, world.settings) == 0 and receiver.got == []
    with world.db.read() as session:
        [view] = target_views(session, world.owner.address)
    assert view.given_up == 1 and "private network" in (view.last_error or "")


def test_over_http_and_by_the_commands(served: Served) -> None:
    """Added, listed, removed by their owner alone; what cannot be is one line."""

    def kilnet(*arguments: str) -> subprocess.CompletedProcess[str]:
        access = ["--gateway", served.url, "--key", "0x" + served.world.owner.key.hex()]
        command = [sys.executable, "-m", "coordinator.cli", "notify", *arguments, *access]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with served.client(served.world.owner) as client:
        added = client.add_notify_target(AddTarget(address="https://93.184.215.14/hook", events=("done",)))
        assert [one.id for one in client.notify_targets()] == [added.target.id]
        with served.client(Person()) as stranger:
            assert stranger.notify_targets() == []
            with pytest.raises(Refused, match="you have no target"):
                stranger.remove_notify_target(added.target.id)
    assert "on done" in kilnet("list").stdout
    assert "told nothing more" in kilnet("remove", added.target.id).stdout
    for arguments, said in (
        (("add", "http://127.0.0.1:9/x"), "private network"),
        (("add", "http://user:secret@example.com/"), "without a password"),
        (("add", "carrier pigeon"), "an https:// URL or an e-mail address"),
        (("add", "ada@studio.example"), "sends no e-mail"),
        (("add", "https://93.184.215.14/", "--on", "lunch"), "some of done, failed, preview"),
        (("remove", "../x"), "kilnet notify list"),
        (("confirm", "t000000000000", "1"), "you have no target"),
    ):
        failed = kilnet(*arguments)
        assert failed.returncode != 0 and said in failed.stderr and failed.stderr.count("\n") == 1, failed.stderr
