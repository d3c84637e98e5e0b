"""Debian's Chromium, driven by Playwright, on a real gateway over a deployment that has lived for a while."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from jobs.wire import CreateApiKey
from tests.coordinator.conftest import database_url, postgres_server, postgres_url, sqlite_url  # noqa: F401 - fixtures
from tests.coordinator.gateway.conftest import Served, running_broker, serving
from tests.web.fair import UNIT, Fair, Frame

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PATIENCE_MS = 120_000
"""Longer than anything takes on a machine that has much else to do: conditions are waited for, and one that never
comes true fails. What must be quick is measured (`make bench-web`)."""
_TEST_SECONDS = 900


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser on a busy machine takes its time: what drives one is among the long tests (`make slow`)."""
    for item in items:
        if "page" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


def chromium() -> str | None:
    """The browser's program: $CHROMIUM, or what the system has."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="THE PAGE IS NOT TESTED: playwright is not installed; make setup"
    )
    program = chromium()
    if program is None:
        pytest.skip("THE PAGE IS NOT TESTED: no chromium here; apt-get install chromium, or name one with $CHROMIUM")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@dataclass
class Town:
    """A gateway, what lives behind it, and its jobs by what became of them."""

    served: Served
    fair: Fair
    frame: Frame
    done: str
    running: str
    failed: str

    @property
    def url(self) -> str:
        return self.served.url

    def sign_in(self, page: Page) -> None:
        """As `kilnet page` does it."""
        with self.served.client(self.fair.owner) as client:
            page.goto(client.page_url())
        page.wait_for_url(f"{self.url}/jobs")


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])
    folder = tmp_path_factory.mktemp("town")
    with running_broker() as broker, serving(f"sqlite:///{folder / 'kilnet.sqlite'}", folder, broker) as served:
        yield build_town(served)
    structlog.reset_defaults()


def build_town(served: Served, frame: Frame | None = None) -> Town:
    """A job of each kind, ten nodes, two of them the owner's own, one of them a cheat; one settled epoch."""
    fair, frame = Fair(served.world), frame or Frame(480, 270)
    fair.enlist(8)
    fair.enlist(2, owner=served.world.owner.address)
    done = fair.render("brass-still-life", frame, (2, 1), ranges=2)
    fair.pass_tiles(frame, 4)
    fair.deliver(done, frame, 1)
    fair.settle(done, days_ago=1)
    running = fair.render("harbour-at-dusk", frame, (4, 3))
    fair.cheat(frame)
    cheat = fair.nodes.pop(0)
    fair.pass_tiles(frame, 3)
    offer = fair.claim(fair.nodes[1])
    assert offer is not None and cheat is not None
    fair.world.beat(fair.nodes[1], offer, 0.4)
    failed = fair.render("broken-dragon", frame, (2, 1), state="paused", created_at=1.7e9)
    fair.fail(failed, "tile 0: Image texture 'scales.exr' cannot be read (after 6 attempts)")
    with served.client(fair.owner) as client:
        client.create_api_key(CreateApiKey(name="nightly-turntables-of-the-whole-show", spend_limit=25 * UNIT))
    return Town(served, fair, frame, done, running, failed)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test for anything that the console complains of, a broken policy first of all."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.said = said  # type: ignore[attr-defined]
    yield page
    context.close()
    assert not said, said


def until(page: Page, expression: str) -> None:
    """Wait for something to be true in the page. Playwright's own waiting evaluates text there, which the page's policy
    does not allow."""
    end = time.monotonic() + _PATIENCE_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}"
        page.wait_for_timeout(50)


def forgive(page: Page, *words: str) -> None:
    """Complaints of the console that belong to what the test does."""
    said: list[str] = page.said  # type: ignore[attr-defined]
    said[:] = [line for line in said if not any(word in line for word in words)]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: $KILNET_SCREENSHOTS, to look at them."""
    folder = Path(os.environ.get("KILNET_SCREENSHOTS", tmp_path))
    folder.mkdir(exist_ok=True)
    return folder
