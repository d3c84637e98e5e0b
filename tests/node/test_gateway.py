"""The gateway client against a real HTTP server: what it does for each status of docs/node-protocol.md."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from jobs.errors import BadInput
from jobs.manifest import Asset
from jobs.wire import ClaimRequest, Heartbeat, Release
from node.gateway import (
    Away,
    BadSignIn,
    Cancelled,
    Forbidden,
    GatewayClient,
    GatewayError,
    LeaseLost,
    NotFound,
    Stopping,
    Transport,
    UpgradeNeeded,
    download,
    origin_of,
    upload,
)
from node.keys import NodeKey
from tests.node.small_gateway import Answer, SmallGateway, error

DATA = bytes(range(256)) * 20_000


def asset_of(data: bytes) -> Asset:
    return Asset(path="x.bin", sha256=hashlib.sha256(data).hexdigest(), size=len(data))


class Times:
    """Trouble for the first `times` calls to paths that end with `path`."""

    def __init__(self, times: int, path: str, answer: Answer) -> None:
        self.left, self.path, self.answer = times, path, answer

    def __call__(self, _method: str, path: str) -> Answer | None:
        if path.endswith(self.path) and self.left > 0:
            self.left -= 1
            return self.answer
        return None


def release(client: GatewayClient, **patience: float) -> None:
    client.release("l1", Release(token=1), **patience)


def test_5xx_is_repeated_until_it_works(gateway: SmallGateway, client: GatewayClient) -> None:
    """Three answers of 503, then the call goes through: four tries in all."""
    gateway.trouble = Times(3, "/release", error(503, "away"))
    release(client)
    assert len(gateway.bodies("POST", "/v1/leases/l1/release")) == 4


def test_patience_ends(gateway: SmallGateway, client: GatewayClient) -> None:
    """A caller with patience 0 gets Away after one try; it is an Unavailable (exit code 3)."""
    gateway.trouble = Times(99, "/release", error(502, "away"))
    with pytest.raises(Away) as caught:
        release(client, patience=0)
    assert caught.value.exit_code == 3
    assert len(gateway.bodies("POST", "/v1/leases/l1/release")) == 1


def test_stopping_ends_the_waiting(gateway: SmallGateway, client: GatewayClient) -> None:
    """A set stop event ends a call that would wait for ever."""
    gateway.trouble = Times(10**6, "/claim", error(503, "away"))
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Stopping):
        client.claim(ClaimRequest(runtimes=("x",), wait_seconds=0), stop=stop)


def test_retry_after_is_obeyed(gateway: SmallGateway, client: GatewayClient) -> None:
    """429 with Retry-After 0.4: the next try comes no sooner, although the usual wait is 20 ms."""
    gateway.trouble = Times(1, "/release", error(429, "slow_down", {"Retry-After": "0.4"}))
    started = time.monotonic()
    release(client)
    assert time.monotonic() - started >= 0.4


def test_an_ended_session_is_renewed_once(gateway: SmallGateway, client: GatewayClient) -> None:
    """401 makes it sign in again and repeat the call."""
    release(client)
    gateway.tokens.clear()
    release(client)
    assert len(gateway.bodies("POST", "/v1/auth/login")) == 2


def test_several_threads_sign_in_once(gateway: SmallGateway, client: GatewayClient) -> None:
    """Eight first calls at the same time share one session."""
    threads = [threading.Thread(target=release, args=(client,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gateway.bodies("POST", "/v1/auth/login")) == 1


@pytest.mark.parametrize(
    "asked", ["https://evil.example", "http://127.0.0.1:1", "https://evil.example http://127.0.0.1"]
)
def test_a_message_for_another_origin_is_never_signed(gateway: SmallGateway, client: GatewayClient, asked: str) -> None:
    """A gateway that passes on another one's sign-in text gets no signature."""
    gateway.origin_in_message = asked
    with pytest.raises(BadSignIn, match="asks to sign for"):
        release(client)
    assert gateway.bodies("POST", "/v1/auth/login") == []


def test_a_used_nonce_is_asked_for_anew(gateway: SmallGateway, client: GatewayClient) -> None:
    """A login that was repeated because its answer was lost finds its nonce used: it takes another one."""
    gateway.trouble = Times(1, "/login", error(401, "nonce_lapsed"))
    release(client)
    assert len(gateway.bodies("POST", "/v1/auth/nonce")) == 2


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "forbidden", Forbidden),
        (404, "not_found", NotFound),
        (409, "lease_lost", LeaseLost),
        (426, "upgrade", UpgradeNeeded),
    ],
)
def test_refusals_are_typed_and_not_repeated(
    gateway: SmallGateway, client: GatewayClient, status: int, code: str, kind: type[Exception]
) -> None:
    """Statuses that waiting does not change raise their own error at the first answer, with the gateway's words."""
    gateway.trouble = Times(99, "/heartbeat", error(status, code))
    with pytest.raises(kind, match=f"said {code}"):
        client.heartbeat("l1", Heartbeat(token=1, progress=0.5))
    assert len(gateway.bodies("POST", "/v1/leases/l1/heartbeat")) == 1


def test_a_html_page_counts_as_away(gateway: SmallGateway, client: GatewayClient) -> None:
    """A proxy's 200 page is no HeartbeatReply, and no reason to fall over."""
    gateway.trouble = Times(1, "/heartbeat", (200, {}, b"<html>maintenance</html>"))
    with pytest.raises(Away):
        client.heartbeat("l1", Heartbeat(token=1, progress=0.5))


def test_no_connection_is_away(key: NodeKey) -> None:
    """Nobody listens at all."""
    server = SmallGateway()
    server.close()
    transport = Transport(server.url, key)
    with pytest.raises(Away, match="no answer"):
        GatewayClient(transport).heartbeat("l1", Heartbeat(token=1, progress=0))
    transport.close()


@pytest.mark.parametrize("url", ["", "gateway.example", "ftp://x", "https://user@x", "https://x?y=1"])
def test_urls_that_are_none_are_refused(url: str) -> None:
    """The message names the option."""
    with pytest.raises(BadInput, match="--gateway"):
        origin_of(url)


def test_an_upload_is_cut_into_chunks_that_fit(gateway: SmallGateway, transport: Transport, tmp_path: Path) -> None:
    """413 halves the chunks until they are taken; every byte arrives once."""
    source = tmp_path / "x"
    source.write_bytes(DATA)
    upload(transport, asset_of(DATA), source)
    assert gateway.blobs[asset_of(DATA).sha256] == DATA


def test_an_upload_goes_on_where_it_broke_off(gateway: SmallGateway, transport: Transport, tmp_path: Path) -> None:
    """What is there already is not sent again, and a piece whose answer was lost is noticed by its offset."""
    source, asset = tmp_path / "x", asset_of(DATA)
    source.write_bytes(DATA)
    gateway.uploads[asset.sha256] = bytearray(DATA[:1000])
    lost = iter([True])

    def lose_an_answer(method: str, path: str) -> Answer | None:
        if method == "PATCH" and next(lost, False):
            gateway.uploads[asset.sha256] += DATA[1000 : 1000 + 5]  # it took some of the piece, and then it broke
            return error(503, "away")
        return None

    gateway.trouble = lose_an_answer
    upload(transport, asset, source)
    assert gateway.blobs[asset.sha256] == DATA


def test_an_upload_over_somebodys_garbage_starts_again(
    gateway: SmallGateway, transport: Transport, tmp_path: Path
) -> None:
    """422 wrong_hash: from 0, once. A file that is itself not what it says is refused for good."""
    source, asset = tmp_path / "x", asset_of(DATA)
    source.write_bytes(DATA)
    gateway.uploads[asset.sha256] = bytearray(b"garbage")
    upload(transport, asset, source)
    assert gateway.blobs[asset.sha256] == DATA
    other = asset_of(b"y" * 100)
    source.write_bytes(b"z" * 100)
    with pytest.raises(GatewayError) as caught:
        upload(transport, other, source)
    assert caught.value.code == "wrong_hash"


def test_an_empty_file_is_uploaded(gateway: SmallGateway, transport: Transport, tmp_path: Path) -> None:
    """Nothing is something: one PATCH without bytes."""
    source = tmp_path / "x"
    source.write_bytes(b"")
    upload(transport, asset_of(b""), source)
    assert gateway.blobs[asset_of(b"").sha256] == b""


def test_a_download_goes_on_where_it_broke_off(gateway: SmallGateway, transport: Transport, tmp_path: Path) -> None:
    """The connection breaks after a third: the next request asks for the rest only."""
    asset, target = asset_of(DATA), tmp_path / "x"
    gateway.blobs[asset.sha256] = DATA
    third = len(DATA) // 3
    gateway.trouble = Times(1, asset.sha256, (200, {"Content-Length": str(len(DATA))}, DATA[:third]))
    got: list[int] = []
    download(transport, asset, target, on_bytes=got.append, wait=lambda: iter([0.01] * 50))
    assert target.read_bytes() == DATA
    assert sum(got) == len(DATA)
    assert len(gateway.bodies("GET", f"/v1/blobs/{asset.sha256}")) == 2


def test_other_bytes_than_the_hash_says_are_never_kept(
    gateway: SmallGateway, transport: Transport, tmp_path: Path
) -> None:
    """Wrong bytes, and more bytes than announced: three tries, then an error, and no file."""
    asset, target = asset_of(DATA), tmp_path / "x"
    gateway.blobs[asset.sha256] = b"?" * (len(DATA) * 2)
    with pytest.raises(GatewayError, match="other bytes"):
        download(transport, asset, target, wait=lambda: iter([0.01] * 50))
    assert list(tmp_path.glob("x*")) == []


def test_a_download_that_is_not_wanted_any_more_ends(
    gateway: SmallGateway, transport: Transport, tmp_path: Path
) -> None:
    """A gateway that is away and a cancelled lease: no waiting."""
    asset = asset_of(DATA)
    gateway.trouble = Times(10**6, asset.sha256, error(503, "away"))
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    with pytest.raises(Cancelled):
        download(transport, asset, tmp_path / "x", cancel=cancel)


def test_a_missing_blob_is_an_error_at_once(gateway: SmallGateway, transport: Transport, tmp_path: Path) -> None:
    """404 is no reason to wait."""
    with pytest.raises(NotFound):
        download(transport, asset_of(DATA), tmp_path / "x")
