"""What the page is told and shown, without a browser: pictures to the pixel, cells only after the verdict, sums."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from coordinator import views
from coordinator.errors import NotFound
from coordinator.store.database import Database
from coordinator.store.models import Job
from coordinator.web import pictures
from coordinator.web.pictures import LivePictures, shown
from jobs.contract import RenderContract
from jobs.pricing import reward_units
from tests.coordinator.world import Person, World
from tests.web.conftest import Town
from tests.web.fair import Fair, Frame


@pytest.fixture
def fair(database_url: str, tmp_path: Path) -> Iterator[Fair]:
    db = Database(database_url)
    db.migrate()
    fair = Fair(World(db, tmp_path))
    fair.enlist(3)
    yield fair
    db.close()


def _contract(fair: Fair, job: str) -> RenderContract:
    with fair.world.db.read() as session:
        return RenderContract.model_validate(session.get_one(Job, job).contract)


def _read(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_the_live_picture_is_the_tiles_that_passed(fair: Fair) -> None:
    """Each pixel in sRGB where its tile passed, transparent elsewhere; sample ranges are weighed together."""
    frame = Frame(96, 40, 1)
    job = fair.render("picture", frame, (3, 2), ranges=2)
    live = LivePictures(fair.world.db, fair.world.store)
    contract = _contract(fair, job)
    assert not _read(live.picture(job, contract, 1).png)[..., 3].any()
    fair.pass_tiles(frame, 5)
    made = live.picture(job, contract, 1)
    pixels = _read(made.png)
    seen = pixels[..., 3] == 255
    # Five ranges cover two rectangles whole and a third by half.
    assert seen.sum() == 3 * 32 * 20 and not made.more
    linear = np.clip(frame.pixels, 0, 1).astype(np.float64)
    expected = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert np.abs(pixels[..., :3][seen] - expected[seen]).max() <= 1
    assert live.picture(job, contract, 1).tag == made.tag
    with pytest.raises(NotFound, match="colour pass"):
        live.picture(job, contract.model_copy(update={"channels": ("ViewLayer.Depth.Z",)}), 1)


def test_large_frames_are_scaled_and_come_piece_by_piece(fair: Fair, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most LONGEST_SIDE pixels; a call that runs out of time says that there is more."""
    monkeypatch.setattr(pictures, "LONGEST_SIDE", 60)
    frame = Frame(120, 48, 1)
    job = fair.render("large", frame, (2, 1))
    fair.pass_tiles(frame, 2)
    live = LivePictures(fair.world.db, fair.world.store)
    monkeypatch.setattr(pictures, "_PATIENCE_SECONDS", 0.0)
    assert live.picture(job, _contract(fair, job), 1).more
    monkeypatch.setattr(pictures, "_PATIENCE_SECONDS", 60.0)
    made = live.picture(job, _contract(fair, job), 1)
    assert not made.more and _read(made.png).shape == (24, 60, 4) and (_read(made.png)[..., 3] == 255).all()


def test_what_is_no_picture_is_not_shown(fair: Fair) -> None:
    """Markup in the place of a picture is refused; a picture is made anew, without what else its file holds."""
    store = fair.world.store
    for content in (b"<svg onload=alert(1)>", b"", b"\x76\x2f\x31\x01 an EXR file"):
        with pytest.raises(NotFound, match="download it"):
            shown(store, store.put_bytes(content))
    png = shown(store, store.put_bytes(Frame(20, 10).png() + b"<script>alert(1)</script>"))
    assert b"<script>" not in png and _read(png).shape == (10, 20, 3)


def test_cells_are_told_with_the_verdict(fair: Fair) -> None:
    """A drawn challenge is nobody's business before: the worker may be the one who asks."""
    frame = Frame(64, 32, 1)
    job = fair.render("cells", frame, (1, 1))
    offer = fair.claim(fair.nodes[0])
    assert offer is not None
    fair.hand_in(fair.nodes[0], offer, frame, noise=0.01)
    with fair.world.db.read() as session:
        attempt = views.attempt_views(session, job, 0)[0]
        assert (attempt.cells, attempt.evidence, attempt.verdict) == ((), {}, None)
        assert views.audited_views(session, job) == []
    fair.prove(offer, frame)
    with fair.world.db.read() as session:
        attempt = views.attempt_views(session, job, 0)[0]
        audited = views.audited_views(session, job)[0]
        assert attempt.verdict == "reject" and len(attempt.cells) >= 8 and attempt.node_name == "ember"
        assert audited.cells == attempt.cells and set(audited.differing) <= set(audited.cells) and audited.differing
        log = views.log_entries(session, job, before=None, limit=50)
        assert any(entry.data.get("lost") == "rejected" for entry in log)
        assert views.log_entries(session, job, before=log[0].id, limit=1)[0].id < log[0].id


def test_the_ledger_adds_up(fair: Fair) -> None:
    """Burned, minted and fees over epochs; what an epoch minted is what its receipts earn."""
    frame = Frame(32, 16, 1)
    total = 0
    for i in range(2):
        job = fair.render(f"epoch {i}", frame, (2, 1))
        fair.pass_tiles(frame, 2)
        with fair.world.db.read() as session:
            total += views.job_facts(session, session.get_one(Job, job)).spent
        fair.settle(job)
    with fair.world.db.read() as session:
        ledger = views.ledger_view(session, fair.world.settings, now=fair.world.db.now())
    assert ledger.burned + ledger.fees == total and ledger.minted == 4 * reward_units(total // 4)
    assert [epoch.number for epoch in ledger.epochs] == [2, 1]
    assert sum(epoch.minted for epoch in ledger.epochs) == ledger.minted
    assert sum(epoch.burned for epoch in ledger.epochs) == ledger.burned
    assert sum(one.earned for one in ledger.operators) == ledger.minted
    assert sum(one.tiles for one in ledger.operators) == ledger.tiles_paid == 4


def test_details_are_for_the_owner(town: Town) -> None:
    """Facts, attempts, cells, log and pictures of a job: 404 for others, 401 for guests; the ledger for everyone."""
    from jobs.typed_data import sign_text

    paths = ("facts", "tiles/0/attempts", "audited", "log", "frames/1/live.png", "frames/1/result.png", "picture.png")
    with httpx.Client(base_url=town.url) as client:
        for person, status in ((town.fair.owner, 200), (Person(), 404)):
            nonce = client.post("/v1/auth/nonce", json={"address": person.address}).json()["message"]
            signed = {"address": person.address, "message": nonce, "signature": sign_text(nonce, person.key)}
            token = client.post("/v1/auth/login", json=signed).json()["token"]
            for path in paths:
                answer = client.get(f"/v1/jobs/{town.done}/{path}", headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == status, path
        assert all(client.get(f"/v1/jobs/{town.done}/{path}").status_code == 401 for path in paths)
        assert client.get("/v1/ledger").json()["jobs_settled"] >= 1
