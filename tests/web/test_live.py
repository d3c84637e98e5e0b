"""What happens is on the page without anybody asking for it, also after the gateway was away; nothing runs as code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import Town, forgive, until
from tests.web.fair import Frame

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def small() -> Frame:
    return Frame(64, 32, 4)


def test_tiles_appear_as_they_pass(page: Page, town: Town, small: Frame) -> None:
    """A claim, a result and a verdict each change the open page; the picture gets the tile's pixels."""
    fair = town.fair
    job = fair.render("live", small, (2, 1), priority=9)
    town.sign_in(page)
    page.goto(f"{town.url}/jobs/{job}")
    table = page.get_by_role("region", name="Table of tiles")
    table.wait_for()
    page.locator(".link-state.live").wait_for()
    offer = fair.claim_of(job)
    table.get_by_text("rendering").wait_for()
    fair.world.beat(fair.worker_of(offer), offer, 0.6)
    table.get_by_text("rendering 60%").wait_for()
    fair.hand_in(fair.worker_of(offer), offer, small)
    table.get_by_text("being proven").wait_for()
    fair.prove(offer, small)
    table.get_by_text("passed").wait_for()
    until(page, "document.querySelector('.stage > img:not(.under)')?.naturalWidth === 64")
    page.get_by_text("1 / 2").wait_for()
    assert "passed the exact lane" in page.locator(".log").inner_text()
    page.get_by_text("1.2 KILN").first.wait_for()


def test_the_list_of_jobs_is_live(page: Page, town: Town, small: Frame) -> None:
    """A job that is sent while the list is open appears in it, and moves."""
    town.sign_in(page)
    page.locator(".link-state.live").wait_for()
    job = town.fair.render("fresh from the kiln", small, (1, 1), priority=9)
    card = page.get_by_role("link", name="fresh from the kiln")
    card.wait_for()
    offer = town.fair.claim_of(job)
    town.fair.world.beat(town.fair.worker_of(offer), offer, 0.5)
    card.get_by_text("50%").wait_for()


def test_a_stream_that_breaks_is_taken_up_again(page: Page, town: Town, small: Frame) -> None:
    """The page says that it is reconnecting, resumes after the last event it saw, and misses nothing."""
    job = town.fair.render("with gaps", small, (2, 1), priority=9)
    town.sign_in(page)
    page.goto(f"{town.url}/jobs/{job}")
    page.locator(".link-state.live").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/events" in request.url else None)
    page.route("**/events**", lambda route: route.abort())
    gateway = town.served.gateway
    gateway.stop()  # every stream ends
    page.locator(".link-state.away").wait_for()
    gateway.stopping = False
    offer = town.fair.claim_of(job)
    page.unroute("**/events**")
    page.get_by_role("region", name="Table of tiles").get_by_text("rendering").wait_for()
    page.locator(".link-state.live").wait_for()
    assert offer is not None and all("after=" in url for url in asked)
    forgive(page, "net::ERR_FAILED")


def test_nothing_of_a_node_or_a_client_runs(page: Page, town: Town, small: Frame, tmp_path: Path) -> None:
    """Names, reasons and logs with markup are shown as the text they are."""
    del tmp_path
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    fair = town.fair
    node = fair.world.worker(cls="blender-5.2.3/cpu/avx512", name=hostile[:100])
    job = fair.render(hostile, small, (1, 1), priority=9)
    fair.fail(job, f"tile 0: {hostile}")
    town.sign_in(page)
    page.get_by_text("<img src=x").first.wait_for()
    for view in (f"/jobs/{job}", "/nodes"):
        page.goto(town.url + view)
        page.get_by_text("<img src=x").first.wait_for()
        assert page.locator("img[src=x]").count() == 0 and page.title() == "kilnet"
    assert node.address


def test_only_ones_own_jobs(page: Page, town: Town) -> None:
    """A stranger's page has no such job, and says so."""
    from tests.coordinator.world import Person

    with town.served.client(Person()) as stranger:
        page.goto(stranger.page_url())
    page.wait_for_url(f"{town.url}/jobs")
    page.get_by_role("heading", name="No jobs yet").wait_for()
    page.goto(f"{town.url}/jobs/{town.done}")
    page.get_by_role("alert").get_by_text("no job").wait_for()
    forgive(page, "404")
