"""python -m tests.bench.web (make bench-web): how live the page is with 2,000 tiles and 200 nodes.

Measured in Chromium: first paint of a cold visit, when the tiles stand there, and the time from an event's row in the
database to the frame that shows it. The gateway, its broker and the workers that cause the events run beside it.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog
from sqlalchemy import func, select

from coordinator.store.models import Event
from tests.coordinator.gateway.conftest import Served, running_broker, serving
from tests.web.conftest import chromium, until
from tests.web.fair import CLASS, Fair, Frame

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["Measured", "main", "measure"]

_COLLECT = """
window.shown = [];
new PerformanceObserver((list) => {
  for (const mark of list.getEntriesByName("kilnet:shown"))
    window.shown.push((performance.timeOrigin + mark.startTime) / 1000 - mark.detail.happened);
}).observe({ type: "mark" });
"""
_VISITS = 5
_AT_WORK = 40
"""Nodes that send heartbeats."""


class Measured(NamedTuple):
    """Seconds."""

    tiles: int
    nodes: int
    first_paint: dict[str, list[float]]
    """By view, of each cold visit."""
    tiles_drawn: list[float]
    events: list[float]
    """From an event's row to the frame that shows it."""
    events_per_second: float
    nodes_changed: list[float]
    """From a change of a node to the row of the table that shows it."""


def measure(browser: Browser, *, tiles: int = 2000, nodes: int = 200, seconds: float = 20.0) -> Measured:
    """Serve so much, look at it, let things happen for so long."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_broker() as broker,
        serving(f"sqlite:///{folder}/kilnet.sqlite", Path(folder), broker) as served,
    ):
        fair, frame = Fair(served.world), Frame(800, 640)
        fair.enlist(nodes)
        columns = 50
        job = fair.render("two thousand tiles", frame, (columns, tiles // columns))
        with served.client(fair.owner) as client:
            state = browser.new_context()
            page = state.new_page()
            page.goto(client.page_url())
            page.wait_for_url("**/jobs")
            cookies = state.cookies()
            state.close()
        views = {"jobs": "/jobs", "job": f"/jobs/{job}", "nodes": "/nodes", "economy": "/economy"}
        paints: dict[str, list[float]] = {name: [] for name in views}
        drawn = []
        for _ in range(_VISITS):
            for name, path in views.items():
                paint, ready = _visit(
                    browser, served.url + path, cookies, "canvas[role=application]" if name == "job" else "h1"
                )
                paints[name].append(paint)
                if name == "job":
                    drawn.append(ready)
        events, rate = _events(browser, served, fair, cookies, f"{served.url}/jobs/{job}", seconds)
        changed = _changes(browser, served, fair, cookies)
        return Measured(tiles, nodes, paints, drawn, events, rate, changed)


def _visit(browser: Browser, url: str, cookies: list[object], ready: str) -> tuple[float, float]:
    """First contentful paint, and when `ready` stood there, of a visit with nothing in the cache."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.add_cookies(cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(ready)
    at: float = page.evaluate("performance.now()")
    paint: float = page.evaluate(
        "new Promise(done => new PerformanceObserver(list => { for (const one of list.getEntries()) "
        "if (one.name === 'first-contentful-paint') done(one.startTime); }).observe({type: 'paint', buffered: true}))"
    )
    context.close()
    return paint / 1000, at / 1000


def _open(browser: Browser, url: str, cookies: list[object]) -> Page:
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.add_cookies(cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.add_init_script(_COLLECT)
    page.goto(url)
    page.locator(".link-state.live").wait_for()
    return page


def _events(
    browser: Browser, served: Served, fair: Fair, cookies: list[object], url: str, seconds: float
) -> tuple[list[float], float]:
    """Nodes take tiles and report progress, each a twentieth at a time."""
    page = _open(browser, url, cookies)
    held = [(node, offer) for node in fair.nodes[:_AT_WORK] if (offer := fair.claim(node)) is not None]
    page.wait_for_timeout(1000)
    page.evaluate("window.shown.length = 0")
    before = _count(served)

    def work() -> None:
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            for node, offer in held:
                fair.world.beat(node, offer, min(0.999, passed / seconds))
                time.sleep(0.01)

    _beside(page, work)
    page.wait_for_timeout(3000)
    shown: list[float] = page.evaluate("window.shown")
    page.context.close()
    return shown, (_count(served) - before) / seconds


def _count(served: Served) -> int:
    with served.world.db.read() as session:
        return session.scalar(select(func.count()).select_from(Event)) or 0


def _changes(browser: Browser, served: Served, fair: Fair, cookies: list[object]) -> list[float]:
    """A node asks another price; when does the table say so?"""
    page = _open(browser, f"{served.url}/nodes", cookies)
    node = fair.nodes[0]
    page.get_by_placeholder("Name, address, region").fill(node.address)
    until(page, "document.querySelectorAll('[aria-label=\"All nodes\"] tbody tr').length === 1")
    took = []
    for i in range(25):
        page.evaluate(
            "price => { window.seen = new Promise(done => { const look = () => document.querySelector("
            "'[aria-label=\"All nodes\"] tbody').innerText.includes(price) ? requestAnimationFrame(() => "
            "done(Date.now() / 1000)) : requestAnimationFrame(look); look(); }); }",
            f"${10 + i}.00",
        )
        page.wait_for_timeout(37 * (i % 9))  # at any moment between two looks
        begun = time.time()
        fair.world.worker(node, cls=CLASS, ask=10 + i, name="ember")
        seen: float = page.evaluate("window.seen")
        took.append(seen - begun)
    page.context.close()
    return took


def _beside(page: Page, work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        page.wait_for_timeout(200)


def share(values: list[float], part: float) -> float:
    """The value that `part` of all do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def main() -> None:
    """Print the figures of docs/web.md."""
    from playwright.sync_api import sync_playwright

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        found = measure(browser)
        version = browser.version
        browser.close()
    print(f"{found.tiles} tiles, {found.nodes} nodes, Chromium {version}")
    for name, paints in found.first_paint.items():
        print(f"first paint of {name}: median {statistics.median(paints):.2f} s, slowest {max(paints):.2f} s")
    print(f"tiles drawn: median {statistics.median(found.tiles_drawn):.2f} s, slowest {max(found.tiles_drawn):.2f} s")
    for what, values in (("event to screen", found.events), ("node's change to screen", found.nodes_changed)):
        print(
            f"{what}: median {statistics.median(values):.2f} s, p95 {share(values, 0.95):.2f} s, "
            f"slowest {max(values):.2f} s ({len(values)} frames)"
        )
    print(f"events: {found.events_per_second:.0f} a second")


if __name__ == "__main__":
    main()
