"""What a person does about a job on the page: a word on its preview, a change of place or cap, and who is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import select, update

from coordinator.planning import complete_frame
from coordinator.store.models import Job, NotifyTarget, Work
from jobs.states import WorkState
from jobs.tiles import RenderTile
from tests.web.conftest import Town, forgive
from tests.web.fair import Frame

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Grainy(Frame):
    """A frame whose sample ranges are noisy, each in its own way, as sampled light is."""

    def tile(self, tile: RenderTile, noise: float = 0.0) -> bytes:
        x0, y0, x1, y1 = tile.rect
        grain = np.random.default_rng(tile.samples[0]).normal(0, 0.2, self.pixels.shape).astype(np.float32)
        part = (self.pixels + grain)[y0:y1, x0:x1]
        return np.ascontiguousarray(part.transpose(2, 0, 1)[None], "<f4").tobytes()


@pytest.fixture(scope="module")
def small() -> Frame:
    return Frame(64, 32, 4)


def _in_review(town: Town, frame: Frame, name: str) -> str:
    """A job of two tiles, the first of which is the preview and has passed."""
    fair = town.fair
    job = fair.render(name, frame, (2, 1), priority=9)
    with fair.world.db.begin() as session:
        held = update(Work).where(Work.job_id == job, Work.index == 1).values(state=str(WorkState.HELD))
        session.execute(held)
    offer = fair.claim_of(job)
    fair.hand_in(fair.worker_of(offer), offer, frame)
    fair.prove(offer, frame)
    complete_frame(fair.world.db, fair.world.settings, job)
    return job


def _row(town: Town, job: str) -> Job:
    with town.fair.world.db.read() as session:
        found = session.get_one(Job, job)
        session.expunge(found)
        return found


def test_a_preview_is_gone_on_with(page: Page, town: Town, small: Frame) -> None:
    """The job waits for a word; after Go on the rest is free and the badge says so."""
    job = _in_review(town, small, "looks right")
    town.sign_in(page)
    page.goto(f"{town.url}/jobs/{job}")
    page.get_by_text("waiting for your word").wait_for()
    page.get_by_role("button", name="Go on").click()
    page.locator(".heading .badge", has_text="running").wait_for()
    with town.fair.world.db.read() as session:
        states = session.scalars(select(Work.state).where(Work.job_id == job, Work.kind == "tile").order_by(Work.index))
        assert list(states) == ["done", "pending"]
    page.get_by_role("button", name="Go on").wait_for(state="detached")


def test_a_preview_is_rejected(page: Page, town: Town, small: Frame) -> None:
    """Rejected, the job ends for what was rendered, and nothing more can be done to it."""
    job = _in_review(town, small, "looks wrong")
    town.sign_in(page)
    page.goto(f"{town.url}/jobs/{job}")
    page.get_by_role("button", name="Reject the preview").click()
    page.get_by_role("button", name="Reject the preview").wait_for(state="detached")
    page.locator(".heading .badge", has_text="settling").wait_for()
    assert _row(town, job).error_code == "preview_rejected"


def test_priority_and_cap_are_changed(page: Page, town: Town, small: Frame) -> None:
    """Both are kept and shown; a cap above the escrow is refused with a line that says what it holds."""
    job = town.fair.render("late", small, (2, 1), priority=9)
    town.sign_in(page)
    page.goto(f"{town.url}/jobs/{job}")
    page.get_by_role("button", name="Change", exact=True).click()
    form = page.get_by_role("form", name="Change this job")
    form.get_by_label("Priority among your jobs").fill("5")
    form.get_by_label(re.compile("^Cap, up to")).fill("0.1")
    form.get_by_role("button", name="Save").click()
    page.get_by_text("at most $0.1", exact=True).wait_for()
    assert _row(town, job).priority == 5 and _row(town, job).lowered_cap is not None
    page.get_by_role("button", name="Change", exact=True).click()
    form.get_by_label(re.compile("^Cap, up to")).fill("100000")
    form.get_by_role("button", name="Save").click()
    page.get_by_text("cannot be added to").wait_for()
    forgive(page, "422")
    assert _row(town, job).priority == 5


def test_the_noise_of_a_still_falls(page: Page, town: Town) -> None:
    """As sample ranges pass, the page says how many samples are seen and how noisy that is: less each time."""
    fair, frame = town.fair, Grainy(64, 32, 4)
    job = fair.render("getting cleaner", frame, (1, 1), ranges=4, priority=9)
    town.sign_in(page)
    page.goto(f"{town.url}/jobs/{job}")
    page.locator(".link-state.live").wait_for()
    seen = []
    for passed in range(1, 4):
        offer = fair.claim_of(job)
        fair.hand_in(fair.worker_of(offer), offer, frame)
        fair.prove(offer, frame)
        page.locator(".noise", has_text=f"{16 * passed} samples").wait_for()
        found = re.search(r"noise ([0-9.]+)%", page.locator(".noise").inner_text())
        if found:
            seen.append(float(found[1]))
    assert len(seen) >= 2 and seen == sorted(seen, reverse=True) and seen[-1] < seen[0]
    page.locator(".noise svg polyline").wait_for()


def test_who_is_told_is_edited(page: Page, town: Town) -> None:
    """A webhook is added, its secret shown once; a wrong address is refused in words; removed, it is gone."""
    town.sign_in(page)
    page.goto(f"{town.url}/account")
    card = page.locator(".notices")
    card.get_by_label("Webhook or e-mail address").fill("nobody at all")
    card.get_by_role("button", name="Add").click()
    card.get_by_text("write an https:// URL or an e-mail address").wait_for()
    card.get_by_label("Webhook or e-mail address").fill("https://93.184.215.14/hook")
    card.get_by_role("button", name="Add").click()
    card.get_by_text("The webhook's secret, shown this once").wait_for()
    card.locator(".address", has_text="https://93.184.215.14/hook").wait_for()
    card.get_by_role("button", name="Remove").click()
    card.get_by_text("Nobody is told yet.").wait_for()
    with town.fair.world.db.read() as session:
        assert session.scalars(select(NotifyTarget)).all() == []
    forgive(page, "422", "503")  # the address; the balance: the chain is away here
