"""Each view: what it shows, on a phone and on a wide screen, dark and light, by keyboard alone, to axe's eyes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coordinator.notify.words import ADVICE
from tests.web.conftest import Town, forgive, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

VIEWS = ("/sign-in", "/jobs", "/jobs/RUNNING", "/jobs/DONE", "/jobs/FAILED", "/nodes", "/economy", "/audit", "/account")


def _open(page: Page, town: Town, view: str) -> None:
    path = view.replace("RUNNING", town.running).replace("DONE", town.done).replace("FAILED", town.failed)
    page.goto(town.url + path)
    page.wait_for_selector("main h1")
    page.wait_for_selector(".skeleton", state="detached")


def _violations(page: Page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    # axe is put in by the browser's debugger, which no policy of the page holds back.
    found: dict[str, Any] = Axe().run(page).response
    return [
        f"{one['id']}: {one['help']} ({', '.join(str(node['target']) for node in one['nodes'][:3])})"
        for one in found["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1600])
def test_every_view_is_whole(page: Page, town: Town, pictures: Path, width: int, scheme: str) -> None:
    """Nothing runs over the edge, axe finds nothing, and a picture of it is kept."""
    page.set_viewport_size({"width": width, "height": 800 if width == 380 else 1000})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    found = []
    for view in VIEWS:
        if view == "/jobs":
            town.sign_in(page)
        _open(page, town, view)
        until(page, "document.fonts.status === 'loaded'")
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{view} is {over} px too wide at {width} px"
        found += [f"{view}: {one}" for one in _violations(page)]
        name = view.strip("/").replace("/", "-").lower()
        page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=width == 1600)
    assert not found, "\n".join(found)
    forgive(page, "503")  # the balance: the chain is away here


def test_one_job_shows_its_tiles_money_and_refusal(page: Page, town: Town) -> None:
    """States, nodes by name, lane, verdict, cost so far, the refused attempt with its evidence."""
    town.sign_in(page)
    page.get_by_role("link", name="harbour-at-dusk").click()
    page.get_by_role("heading", name="harbour-at-dusk").wait_for()
    table = page.get_by_role("region", name="Table of tiles")
    row = table.get_by_role("row").nth(1)
    row.get_by_text("passed").wait_for()
    assert "exact" in row.inner_text() and "1 refused before" in row.inner_text()
    assert "rendering 40%" in table.inner_text()
    money = page.locator(".aside .card").first.inner_text()
    assert "3 / 12" in money and "0.6 KILN" in money and "1 refused" in money, money
    row.get_by_role("button", name="Tile 0").click()
    panel = page.get_by_role("region", name="Tile 0")
    panel.get_by_text("What differed").wait_for()
    assert "ember" in panel.inner_text() and "rejected" in panel.inner_text() and "Claimed" in panel.inner_text()
    panel.get_by_role("link", name="Prove its receipt").click()
    page.get_by_role("heading", name="Audit").wait_for()


def test_the_map_has_its_modes(page: Page, town: Town) -> None:
    """Tiles, audited cells and the comparison each draw something else; the reference frame slides over the result."""
    town.sign_in(page)
    page.goto(f"{town.url}/jobs/{town.done}")
    stage = page.locator("canvas[role=application]")
    stage.wait_for()
    page.evaluate("window.drawn = [null]")
    for mode in ("Picture", "Tiles", "Audited cells"):
        page.get_by_role("radio", name=mode).check(force=True)
        until(
            page, "!window.drawn.includes(window.now = document.querySelector('canvas[role=application]').toDataURL())"
        )
        page.evaluate("window.drawn.push(window.now)")
    page.get_by_role("radio", name="Compare").check(force=True)
    slider = page.get_by_role("slider", name="Divider between reference frame and result")
    slider.wait_for()
    until(page, "[...document.querySelectorAll('.compare img')].every(image => image.naturalWidth > 1)")
    shown = "getComputedStyle(document.querySelector('.compare .over')).clipPath"
    before = page.evaluate(shown)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(shown) != before and slider.input_value() == "49"


def test_failures_name_the_frame_and_what_to_do(page: Page, town: Town) -> None:
    """The reason, and what comes next, stand at the top."""
    town.sign_in(page)
    page.goto(f"{town.url}/jobs/{town.failed}")
    alert = page.get_by_role("alert")
    alert.wait_for()
    # The very sentence that a notice says.
    assert "scales.exr" in alert.inner_text() and ADVICE["too_many_attempts"][1:] in alert.inner_text()


def test_nodes_and_ledger(page: Page, town: Town) -> None:
    """Sorting, searching, the caller's own nodes; the ledger without an account."""
    page.goto(f"{town.url}/economy")
    page.get_by_role("heading", name="Top operators").wait_for()
    stats = page.locator(".stats").first.inner_text()
    assert "2.28 KILN" in stats and "2.16 KILN" in stats and "0.12 KILN" in stats, stats  # burned, minted, fee
    page.locator(".chart canvas").wait_for()
    town.sign_in(page)
    page.get_by_role("link", name="Nodes").click()
    page.get_by_role("heading", name="Your nodes").wait_for()
    table = page.get_by_role("region", name="All nodes")
    # Those of the town and the head; other tests may have added some.
    until(page, "document.querySelectorAll('[aria-label=\"All nodes\"] tr').length >= 12")
    page.get_by_role("region", name="All nodes").get_by_role("button", name="Node").click()
    names = [text.split("\n")[0] for text in table.locator("tbody th").all_inner_texts()]
    assert names == sorted(names, key=str.lower) and table.locator("th[aria-sort=ascending]").count() == 1
    page.get_by_placeholder("Name, address, region").fill("kestrel")
    until(page, "document.querySelectorAll('[aria-label=\"All nodes\"] tbody tr').length === 1")


def test_by_keyboard_alone(page: Page, town: Town) -> None:
    """From the first Tab: skip link, navigation, a job, the map's tiles by arrow, its panel closed again."""
    town.sign_in(page)
    page.reload()
    page.get_by_role("heading", name="harbour-at-dusk").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        page.keyboard.press("Tab")
        if "harbour" in page.evaluate("document.activeElement.textContent"):
            break
    page.keyboard.press("Enter")
    page.locator("canvas[role=application]").wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "application":
            break
    page.keyboard.press("ArrowRight")
    page.get_by_role("region", name="Tile 0").wait_for()
    page.keyboard.press("ArrowRight")
    page.get_by_role("region", name="Tile 1").wait_for()
    page.keyboard.press("ArrowDown")
    page.get_by_role("region", name="Tile 5").wait_for()
    assert "Tile 5" in page.locator(".sr[aria-live=polite]").first.inner_text()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Close the tile":
            break
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Tile 5").wait_for(state="detached")


def test_the_theme_is_chosen_and_kept(page: Page, town: Town) -> None:
    """Automatic, light, dark; the canvas follows, and the choice outlasts the visit."""
    page.goto(f"{town.url}/economy")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Colours: auto").click()
    page.get_by_role("button", name="Colours: light").click()
    assert page.evaluate(ground) != light
    page.reload()
    page.get_by_role("button", name="Colours: dark").wait_for()
    assert page.evaluate(ground) != light
