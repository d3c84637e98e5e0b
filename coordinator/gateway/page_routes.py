"""The web page's files. Which view is shown is decided by the page itself, by its address."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from coordinator.errors import NotSignedIn
from coordinator.gateway.bodies import to_json
from coordinator.gateway.context import COOKIE, Context, Guest
from coordinator.web.files import PageFile, find_file, page_headers
from jobs.wire import WhosePage

__all__ = ["router"]

router = APIRouter()
_VIEWS = ("/", "/jobs", "/jobs/{job_id}", "/nodes", "/economy", "/audit", "/account", "/sign-in")


def _page(request: Request, gateway: Context) -> Response:
    headers = {**page_headers(gateway.settings.chain.public_rpc_url), "Cache-Control": "no-cache"}
    return _sent(request, find_file("index.html"), headers)


for _path in _VIEWS:
    router.add_api_route(_path, _page, methods=["GET"], include_in_schema=False)


@router.get("/static/{name}", include_in_schema=False)
def static(request: Request, name: str) -> Response:
    # Names hold a hash of the content, but for the icon and the licences.
    lasting = "no-cache" if name in ("icon.svg", "third-party.txt") else "public, max-age=31536000, immutable"
    return _sent(request, find_file(name), {"Cache-Control": lasting, "X-Content-Type-Options": "nosniff"})


@router.get("/v1/auth/page", dependencies=[Guest], response_model=WhosePage)
async def whose(request: Request, gateway: Context) -> Response:
    """Whose page this is: `address` is None for guests, `wallet` False where an API key opened it."""
    token = request.cookies.get(COOKIE, "")
    try:
        caller = await gateway.caller(token) if token else None
    except NotSignedIn:
        caller = None
    return to_json(
        WhosePage(
            address=caller.address if caller else None,
            wallet=caller is not None and caller.key is None,
            trusted=caller is not None and caller.trusted,
        )
    )


def _sent(request: Request, file: PageFile, headers: dict[str, str]) -> Response:
    headers |= {"ETag": f'"{file.tag}"', "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if file.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.zipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.type)
    return Response(file.content, headers=headers, media_type=file.type)
