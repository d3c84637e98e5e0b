"""The page's files, as they were built, and the headers that fence them in."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from coordinator.errors import NotFound

__all__ = ["STATIC", "PageFile", "find_file", "page_headers"]

STATIC = Path(__file__).parent / "static"
_TYPES = {".woff2": "font/woff2", ".js": "text/javascript; charset=utf-8", ".txt": "text/plain; charset=utf-8"}


class PageFile(NamedTuple):
    content: bytes
    zipped: bytes | None
    """gzip; None where that is no smaller."""
    type: str
    tag: str


@cache
def _files() -> dict[str, PageFile]:
    return {path.name: _read(path) for path in STATIC.iterdir() if path.is_file()}


def _read(path: Path) -> PageFile:
    content = path.read_bytes()
    zipped = gzip.compress(content, 9, mtime=0)
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    tag = hashlib.sha256(content).hexdigest()[:20]
    return PageFile(content, zipped if len(zipped) < 0.9 * len(content) else None, kind, tag)


def find_file(name: str) -> PageFile:
    """Raises NotFound."""
    found = _files().get(name)
    if found is None:
        raise NotFound(f"the page has no file {name[:80]}")
    return found


def page_headers(public_rpc_url: str | None) -> dict[str, str]:
    """What the page may do: nothing but its own files and calls, and reading the chain where that is public."""
    chain = ""
    if public_rpc_url:
        parts = urlsplit(public_rpc_url)
        chain = f" {parts.scheme}://{parts.netloc}"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob:; "
        f"connect-src 'self'{chain}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
