"""Files to and from a real gateway, over connections that break."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from jobs.client import Client
from jobs.errors import BadInput, Refused
from jobs.manifest import Asset, Manifest
from jobs.wire import OutputView
from tests.client.conftest import Faults
from tests.coordinator.gateway.conftest import Served


def files(folder: Path, **contents: bytes) -> tuple[Manifest, dict[str, Path]]:
    assets, sources = [], {}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
        sources[f"tex/{name}"] = folder / name
        assets.append(Asset(path=f"tex/{name}", sha256=hashlib.sha256(data).hexdigest(), size=len(data)))
    return Manifest(main=assets[0].path, assets=tuple(assets)), sources


def test_upload_skips_what_is_there(faulty: tuple[Client, Faults], tmp_path: Path) -> None:
    """The second upload of the same files sends nothing; a file with the same bytes under two names is sent once."""
    client, faults = faulty
    manifest, sources = files(tmp_path, a=b"x" * 1000, b=b"x" * 1000, c=b"y" * 10)
    seen: list[tuple[int, int]] = []
    assert client.upload(manifest, sources, progress=lambda done, total: seen.append((done, total))) == 1010
    assert seen[-1] == (1010, 1010)
    assert sum(method == "PATCH" for method, _ in faults.calls) == 2
    assert client.upload(manifest, sources) == 0
    assert sum(method == "PATCH" for method, _ in faults.calls) == 2


def test_upload_goes_on_after_a_lost_answer(faulty: tuple[Client, Faults], tmp_path: Path) -> None:
    """A chunk whose answer is lost has arrived: the client goes on behind it and the blob is whole."""
    client, faults = faulty
    data = bytes(range(256)) * 80_000  # 20 MB: three chunks
    lost: list[str] = []

    def lose_second(request: httpx.Request) -> bool:
        if request.method == "PATCH" and request.headers["Upload-Offset"] != "0" and not lost:
            lost.append(request.headers["Upload-Offset"])
            return True
        return False

    faults.lose_answer = lose_second
    manifest, sources = files(tmp_path, big=data)
    client.upload(manifest, sources)
    assert lost
    assert client.read_blob(manifest.assets[0].sha256) == data


def test_upload_refuses_a_file_that_changed(faulty: tuple[Client, Faults], tmp_path: Path) -> None:
    """Bytes that are no longer those of the manifest are a clear error that names the file."""
    client, _ = faulty
    manifest, sources = files(tmp_path, a=b"before")
    (tmp_path / "a").write_bytes(b"after!")
    with pytest.raises(BadInput, match=r"a: changed while it was sent"):
        client.upload(manifest, sources)


def test_download_resumes_and_is_atomic(faulty: tuple[Client, Faults], tmp_path: Path) -> None:
    """A download that breaks off goes on where it was, and the file appears only when it is whole."""
    client, faults = faulty
    data = bytes(range(256)) * 20_000
    manifest, sources = files(tmp_path, big=data)
    client.upload(manifest, sources)
    ranges: list[str | None] = []

    def cut(request: httpx.Request) -> int | None:
        if request.method == "GET" and request.url.path.startswith("/v1/blobs/"):
            ranges.append(request.headers.get("Range"))
            return 1_500_000 if len(ranges) < 3 else None
        return None

    faults.cut = cut
    (tmp_path / "here").mkdir()
    target = tmp_path / "here" / "out.bin"
    client.download(manifest.assets[0].sha256, target, size=len(data))
    assert target.read_bytes() == data
    assert (
        ranges[0] is None and all(sent is not None and sent != "bytes=0-" for sent in ranges[1:]) and len(ranges) == 3
    )
    assert [path.name for path in target.parent.iterdir()] == ["out.bin"]


def test_download_refuses_other_bytes(faulty: tuple[Client, Faults], tmp_path: Path) -> None:
    """A blob that is not as long as announced never becomes a file."""
    client, _ = faulty
    manifest, sources = files(tmp_path, a=b"abcdef")
    client.upload(manifest, sources)
    (tmp_path / "here").mkdir()
    with pytest.raises(Refused, match="other bytes"):
        client.download(manifest.assets[0].sha256, tmp_path / "here" / "out", size=3)
    assert list((tmp_path / "here").iterdir()) == []


def test_an_output_cannot_leave_its_folder(faulty: tuple[Client, Faults], tmp_path: Path) -> None:
    """A gateway that names an output ../x is refused, and nothing is written."""
    from jobs.client.transfers import download_outputs

    client, _ = faulty
    manifest, sources = files(tmp_path, a=b"abcdef")
    client.upload(manifest, sources)
    asset = manifest.assets[0]
    for path in ("../x", "/tmp/x", "a/../../x"):
        view = OutputView(path=path, kind="image", frame=1, sha256=asset.sha256, size=asset.size)
        with pytest.raises(Refused, match="no plain path"):
            client._driver.run(download_outputs(client._account.calls, [view], tmp_path / "out"))
    assert not (tmp_path / "out").exists() and not (tmp_path / "x").exists()


def test_strangers_cannot_read(served: Served, tmp_path: Path) -> None:
    """Who knows a hash alone gets `not_found`."""
    from tests.coordinator.world import Person

    manifest, sources = files(tmp_path, a=b"secret")
    with served.client(served.world.owner) as owner:
        owner.upload(manifest, sources)
    with served.client(Person()) as stranger, pytest.raises(Refused) as refused:
        stranger.read_blob(manifest.assets[0].sha256)
    assert refused.value.code == "not_found"
