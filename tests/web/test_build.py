"""What is served is what the sources build to, fenced in by a strict policy."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from coordinator.web import build, files
from tests.web.conftest import Town


def test_static_is_what_the_sources_build_to(tmp_path: Path) -> None:
    """Byte by byte, types checked on the way."""
    if not (build.PACKAGE / "node_modules").is_dir():
        pytest.skip("the page's compiler is not installed: python -m coordinator.web.build --install")
    build.build(tmp_path / "static")
    made = {path.name: path.read_bytes() for path in (tmp_path / "static").iterdir()}
    here = {path.name: path.read_bytes() for path in files.STATIC.iterdir()}
    assert made == here, "static/ is stale: run `python -m coordinator.web.build` and commit what it writes"


def test_the_page_loads_nothing_from_elsewhere(town: Town) -> None:
    """No address of another host in any file that is loaded, and headers that would stop it."""
    with httpx.Client(base_url=town.url) as client:
        page = client.get("/jobs")
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "http" not in page.text
        assert page.headers["cache-control"] == "no-cache"
        script = next(path for path in files.STATIC.iterdir() if path.name.startswith("main-"))
        sent = client.get(f"/static/{script.name}", headers={"Accept-Encoding": "gzip"})
        assert sent.headers["content-encoding"] == "gzip" and sent.content == script.read_bytes()
        assert "immutable" in sent.headers["cache-control"]
        again = client.get(f"/static/{script.name}", headers={"If-None-Match": sent.headers["etag"]})
        assert again.status_code == 304
        assert client.get("/static/../files.py").status_code == 404
        assert client.get("/static/nothing.js").json()["code"] == "not_found"
