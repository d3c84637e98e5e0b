"""The asset cache: content-addressed, bounded, and never wrong about a byte."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from jobs.manifest import Asset
from node.cache import AssetCache, AssetsTooLarge, BadAssets


class Source:
    """Where assets come from; counts what was asked for."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def asset(self, path: str, data: bytes) -> Asset:
        sha = hashlib.sha256(data).hexdigest()
        self.data[sha] = data
        return Asset(path=path, sha256=sha, size=len(data))

    def fetch(self, asset: Asset, target: Path) -> None:
        self.fetched.append(asset.path)
        target.write_bytes(self.data[asset.sha256])


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cache(tmp_path: Path) -> AssetCache:
    return AssetCache(tmp_path / "cache", max_bytes=1000)


def test_a_job_sees_its_files_under_their_names_read_only(cache: AssetCache, source: Source) -> None:
    """Two names of one content are one file on disk, fetched once, writable by nobody."""
    assets = [
        source.asset("a.blend", b"scene"),
        source.asset("tex/b.png", b"pixels"),
        source.asset("tex/c.png", b"pixels"),
    ]
    folder = cache.materialise("j1", assets, source.fetch)
    assert (folder / "a.blend").read_bytes() == b"scene"
    assert (folder / "tex/b.png").samefile(folder / "tex/c.png")
    assert stat.S_IMODE((folder / "a.blend").stat().st_mode) == 0o444
    assert source.fetched == ["a.blend", "tex/b.png"]
    assert cache.size() == len(b"scene") + len(b"pixels")


def test_another_lease_of_the_job_adds_its_files(cache: AssetCache, source: Source) -> None:
    """Files of earlier leases stay, nothing is fetched twice, and a file whose content changed is replaced."""
    first = cache.materialise("j1", [source.asset("m.onnx", b"v1"), source.asset("inputs/0", b"zero")], source.fetch)
    untouched = (first / "inputs/0").stat().st_mtime_ns
    second = cache.materialise("j1", [source.asset("m.onnx", b"v2"), source.asset("inputs/1", b"one")], source.fetch)
    assert first == second
    assert (first / "m.onnx").read_bytes() == b"v2"
    assert (first / "inputs/0").stat().st_mtime_ns == untouched
    cache.materialise("j1", [source.asset("inputs/0", b"zero")], source.fetch)
    assert source.fetched == ["m.onnx", "inputs/0", "m.onnx", "inputs/1"]


def test_the_oldest_job_goes_when_room_is_needed(cache: AssetCache, source: Source) -> None:
    """The least recently used job is evicted; one that is being worked on never is."""
    for age, job in ((300, "old"), (200, "mid"), (100, "new")):
        folder = cache.materialise(job, [source.asset(f"{job}.blend", job.encode() * 100)], source.fetch)
        os.utime(folder, (age, 1_700_000_000 - age))
    cache.materialise("next", [source.asset("next.blend", b"n" * 300)], source.fetch, keep={"old"})
    assert set(cache.jobs()) == {"old", "new", "next"}
    assert cache.size() <= 1000
    assert (cache.folder("old") / "old.blend").read_bytes() == b"old" * 100


def test_what_does_not_fit_is_refused_before_anything_is_fetched(cache: AssetCache, source: Source) -> None:
    """The message names the limit and the option that raises it."""
    with pytest.raises(AssetsTooLarge, match=r"at most 1,000.*--cache-gb"):
        cache.materialise("j1", [source.asset("big", b"x" * 1001)], source.fetch)
    assert source.fetched == []


def test_a_job_that_is_over_leaves_nothing_but_what_others_use(cache: AssetCache, source: Source) -> None:
    """Its folder and its own blobs go, shared ones stay."""
    shared = source.asset("shared.png", b"shared")
    cache.materialise("j1", [shared, source.asset("own.blend", b"own")], source.fetch)
    other = cache.materialise("j2", [shared], source.fetch)
    cache.forget("j1")
    assert list(cache.jobs()) == ["j2"]
    assert cache.size() == len(b"shared")
    assert (other / "shared.png").read_bytes() == b"shared"


def test_spoiled_bytes_on_disk_are_fetched_again(tmp_path: Path, source: Source) -> None:
    """A disk that changed a blob between two starts: the hash is checked anew by every process."""
    asset = source.asset("a.blend", b"scene")
    AssetCache(tmp_path / "c", max_bytes=1000).materialise("j1", [asset], source.fetch)
    blob = next((tmp_path / "c" / "blobs").glob("??/*"))
    blob.chmod(0o644)
    blob.write_bytes(b"scEne")
    folder = AssetCache(tmp_path / "c", max_bytes=1000).materialise("j1", [asset], source.fetch)
    assert (folder / "a.blend").read_bytes() == b"scene"
    assert source.fetched == ["a.blend", "a.blend"]


def test_names_that_contradict_each_other_are_refused(cache: AssetCache, source: Source) -> None:
    """`a` as a file and as a folder."""
    with pytest.raises(BadAssets, match="a file and a folder"):
        cache.materialise("j1", [source.asset("a", b"1"), source.asset("a/b", b"2")], source.fetch)


@pytest.mark.parametrize("job", ["", "..", "a/b", "."])
def test_a_job_is_never_a_path(cache: AssetCache, job: str) -> None:
    """A gateway cannot name folders outside the cache."""
    with pytest.raises(BadAssets):
        cache.folder(job)
