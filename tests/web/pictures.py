"""python -m tests.web.pictures: takes the pictures of docs/web.md, of a gateway with a real chain behind it."""

from __future__ import annotations

import io
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from PIL import Image

from tests.coordinator.gateway.conftest import Served
from tests.web.chained import chained, through
from tests.web.conftest import chromium
from tests.web.fair import Fair, Frame

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_WIDTH = 1280


def main() -> None:
    """Build a town, look at it, keep what is seen."""
    from playwright.sync_api import sync_playwright

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chained(Path(folder)) as served, sync_playwright() as started:
        done, running = _town(served)
        browser = started.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        page = _signed_in(browser, served, width=1280, height=860)
        for name, path in {
            "jobs": "/jobs",
            "job": f"/jobs/{running}",
            "nodes": "/nodes",
            "economy": "/economy",
            "audit": f"/audit?job={done}&tile=3",
        }.items():
            _take(page, served.url + path, name)
        phone = _signed_in(browser, served, width=390, height=844, dark=True)
        _take(phone, f"{served.url}/jobs/{running}", "job-phone")
        browser.close()


def _town(served: Served) -> tuple[str, str]:
    fair = Fair(served.world)
    fair.enlist(9)
    fair.enlist(2, owner=served.world.owner.address)
    done = through(served.world, fair, "brass-still-life", Frame(960, 540, 3), (2, 2), ranges=2)
    for i in range(3):
        through(served.world, fair, f"shot-0{i + 1}", Frame(480, 270, i + 5), (1, i + 1))
    frame = Frame(1280, 720, 11)
    running = fair.render("harbour-at-dusk", frame, (6, 4))
    fair.cheat(frame)
    fair.nodes.pop(0)
    fair.pass_tiles(frame, 12)
    for i, node in enumerate(fair.nodes[:5]):
        offer = fair.claim(node)
        assert offer is not None
        fair.world.beat(node, offer, 0.15 + 0.18 * i)
    offer = fair.claim(fair.nodes[6])
    assert offer is not None
    fair.hand_in(fair.nodes[6], offer, frame)
    fair.render("walk-cycle", Frame(480, 270, 21), (2, 1), frames=tuple(range(1, 13)))
    return done, running


def _signed_in(browser: Browser, served: Served, *, width: int, height: int, dark: bool = False) -> Page:
    scale = 2 if width < 500 else 1
    page = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=scale, reduced_motion="reduce",
        color_scheme="dark" if dark else "light",
    ).new_page()  # fmt: skip
    with served.client(served.world.owner) as client:
        page.goto(client.page_url())
    page.wait_for_url("**/jobs")
    return page


def _take(page: Page, url: str, name: str) -> None:
    page.goto(url)
    page.locator("main h1").wait_for()
    page.wait_for_timeout(6000)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        small = image.convert("RGB")
        small.thumbnail((_WIDTH, _WIDTH), Image.Resampling.LANCZOS)
        small.quantize(200).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
