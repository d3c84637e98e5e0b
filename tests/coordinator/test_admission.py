"""Admission: from files to a quote, by leases of a trusted worker; the order; cancel, pause, deadlines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from coordinator.admission import accept, admit, cancel, create_job, deadlines, pause, resume
from coordinator.errors import ApiError, Conflict, NotFound, SlowDown, Unprocessable
from coordinator.leasing import fail, reap
from coordinator.planning import plan
from coordinator.states import change_job
from coordinator.store.models import Event, Job, Lease, Output, Work
from jobs.contract import RenderContract
from jobs.manifest import Manifest
from jobs.spec import InferSpec, RenderSpec
from jobs.states import JobState, WorkKind
from jobs.tiles import RenderTile
from jobs.typed_data import order_message, sign
from jobs.wire import AcceptJob, CreateJob, Fail, LeaseOffer, PermitSignature
from tests.coordinator.world import CLASS, CONTRACT, Person, World

BLENDER = "blender-5.2.3/cpu/avx512"
RENDER = RenderContract(
    version="5.2.3", engine="CYCLES", scene="Scene", camera="Camera", width=320, height=180, window=(0, 0, 320, 180),
    samples=64, seed=0, adaptive=False, guard=0, channels=("L.Combined.R", "L.Combined.G", "L.Combined.B"),
)  # fmt: skip
DESCRIPTION = {"frame_start": 1, "frame_end": 3, "frame_step": 1, "warnings": ["Scripts do not run: driver of X."]}
COST = {"load_seconds": 2.0, "sync_seconds": 0.5, "per_pixel_sample_seconds": 2e-5, "cell_seconds": 0.02}


def body_for(
    world: World, spec: RenderSpec | InferSpec, key: str = "key-of-the-job", main: bytes = b"BLENDER"
) -> CreateJob:
    """A job whose files are uploaded."""
    if isinstance(spec, RenderSpec):
        assets = [world.upload(world.owner, main, "scene.blend"), world.upload(world.owner, b"tex", "textures/a.png")]
    else:
        assets = [world.upload(world.owner, b"onnx", "model.onnx"), world.upload(world.owner, b"x", "inputs/00000.npz")]
    manifest = Manifest(main=assets[0].path, assets=tuple(assets))
    return CreateJob(spec=spec, manifest=manifest, idempotency_key=key)


def create(world: World, spec: RenderSpec | InferSpec | None = None, key: str = "key-of-the-job") -> str:
    return create_job(
        world.db, world.settings, owner=world.owner.address, body=body_for(world, spec or RenderSpec(), key)
    )


def job_of(world: World, job_id: str) -> Job:
    with world.db.read() as session:
        return session.get_one(Job, job_id)


def trusted_lease(world: World, kind: WorkKind, cls: str = BLENDER) -> tuple[Person, LeaseOffer]:
    person = world.worker(world.trusted, cls=cls)
    offer = world.claim(person, kind, cls=cls)
    assert offer is not None
    return person, offer


def described(world: World, job_id: str, contract: RenderContract = RENDER, **more: Any) -> None:
    """The DESCRIBE step, as a trusted worker answers it."""
    admit(world.db, world.settings, job_id)
    person, offer = trusted_lease(world, WorkKind.DESCRIBE)
    result = {"description": DESCRIPTION, "contract": contract.model_dump(mode="json"), **more}
    world.complete(person, offer, result=result)
    admit(world.db, world.settings, job_id)


def quoted(world: World, spec: RenderSpec | None = None, key: str = "key-of-the-job") -> Job:
    """A render job with its quote."""
    job_id = create(world, spec, key)
    described(world, job_id)
    rendered(world, job_id)
    return job_of(world, job_id)


def rendered(world: World, job_id: str) -> None:
    """The REFERENCE step, as a trusted worker answers it."""
    person, offer = trusted_lease(world, WorkKind.REFERENCE)
    assert offer.params["width"] <= 320 and offer.contract == RENDER
    files = [world.upload(person, b"raw", "reference.raw"), world.upload(person, b"png", "reference.png")]
    world.complete_with(person, offer, *files, result={"cost": COST, "width": 256, "height": 144})
    for _ in range(3):
        admit(world.db, world.settings, job_id)


def order(world: World, job: Job, **change: Any) -> AcceptJob:
    """The client's signed yes."""
    assert job.quote is not None
    values = {"cap": int(job.quote["cap"]), "deadline": int(world.db.now()) + 3600, "signer": world.owner} | change
    signer = values.pop("signer")
    signed = {"cap": values["cap"], "deadline": values["deadline"]} | values.pop("signed", {})
    message = order_message(world.domain, job=job.id, client=world.owner.address, **signed)
    return AcceptJob(**values, order_signature=sign(message, signer.key))


def test_a_scene_gets_its_quote(world: World) -> None:
    """Describe, reference, price: each step once however often it is hinted at; the quote says what the plan will
    make, and the plan makes it, priced to the unit."""
    for ask in (0.1, 0.15):
        world.worker(ask=ask, cls=BLENDER)
    job = quoted(world)
    assert (job.state, job.frames) == ("quoted", [1, 2, 3])
    assert job.quote is not None and job.cost is not None
    quote = job.quote
    assert quote["usd_per_kiln_hour"] == 0.15 and "Scripts do not run: driver of X." in quote["warnings"]
    hours = (3 * (0.5 + 320 * 180 * 64 * 2e-5) + 2 * 2.0) / 3600
    assert quote["kiln_hours"] == pytest.approx(hours)
    assert float(quote["price_usd"]) == pytest.approx(hours * 0.15, abs=1e-6)
    assert int(quote["cap"]) > int(quote["price"]) == job.price
    assert "8 blocks of 8x8 pixels" in quote["proven"]
    with world.db.read() as session:
        [preview] = session.scalars(select(Output)).all()
        assert preview.path == "reference.png"
        assert session.scalar(select(func.count()).select_from(Work)) == 2
    accept(world.db, world.settings, world.domain, owner=world.owner.address, job_id=job.id, body=order(world, job))
    with world.db.begin() as session:
        change_job(session, session.get_one(Job, job.id), JobState.RUNNING)
    for _ in range(3):
        plan(world.db, world.settings, job.id)
    with world.db.read() as session:
        tiles = session.scalars(select(Work).where(Work.kind == "tile").order_by(Work.index)).all()
    assert len(tiles) == quote["tiles"]
    assert sum(tile.price or 0 for tile in tiles) == job.price
    parsed = [RenderTile.model_validate(tile.payload) for tile in tiles]
    covered = sum(tile.area.area * (tile.samples[1] - tile.samples[0]) * len(tile.frames) for tile in parsed)
    assert covered == 3 * 320 * 180 * 64
    assert sum(tile.cell_count() for tile in parsed) == quote["cells"]
    groups = {tile.key.partition(":")[0] for tile in tiles}
    assert len(groups) == len({tile.frames for tile in parsed})


def test_a_model_gets_its_quote_and_its_instrumented_file(world: World) -> None:
    """For a batch the description brings cost and model: the instrumented one is what nodes get from then on."""
    world.worker()
    job_id = create(world, InferSpec(items=40, shard_items=64))
    admit(world.db, world.settings, job_id)
    person, offer = trusted_lease(world, WorkKind.DESCRIBE, CLASS)
    assert offer.params["spec"]["items"] == 40
    made = world.upload(person, b"instrumented", "model.onnx")
    result = {
        "description": {"warnings": []}, "contract": CONTRACT.model_dump(mode="json"), "replaces": {"model.onnx": ""},
        "cost": {"load_seconds": 0.1, "item_seconds": 0.5, "cell_seconds": 1.0},
    }  # fmt: skip
    world.complete_with(person, offer, made, result=result)
    admit(world.db, world.settings, job_id)
    job = job_of(world, job_id)
    assert job.state == "quoted" and job.manifest["assets"][0]["sha256"] == made.sha256
    assert job.manifest["assets"][1]["path"] == "inputs/00000.npz"
    with world.db.begin() as session:
        from coordinator.store.models import JobBlob

        assert session.get_one(JobBlob, (job_id, made.sha256)).role == "asset"  # or no node may read it


def test_the_same_key_is_the_same_job(world: World) -> None:
    """However often it is sent; another account's key is its own."""
    body = body_for(world, RenderSpec())
    ids = {create_job(world.db, world.settings, owner=world.owner.address, body=body) for _ in range(3)}
    assert len(ids) == 1
    with world.db.read() as session:
        assert len(session.scalars(select(Event)).all()) == 1


@pytest.mark.parametrize(
    ("break_it", "kind", "code"),
    [
        ("missing", Conflict, "blobs_missing"),
        ("suffix", Unprocessable, "bad_input"),
        ("shards", Unprocessable, "bad_input"),
    ],
)
def test_a_job_without_its_files_is_refused(world: World, break_it: str, kind: type[ApiError], code: str) -> None:
    """Files that are not uploaded (or are somebody else's), a main file of the wrong kind, shards that do not hold
    the items: refused before anything is written."""
    if break_it == "missing":
        body = body_for(world, RenderSpec())
        foreign = world.upload(world.worker(), b"a stranger's", "secret.png")
        assets = (*body.manifest.assets, foreign)
        body = body.model_copy(update={"manifest": Manifest(main=body.manifest.main, assets=assets)})
    elif break_it == "suffix":
        body = body_for(world, RenderSpec())
        body = body.model_copy(update={"manifest": Manifest(main="textures/a.png", assets=body.manifest.assets)})
    else:
        body = body_for(world, InferSpec(items=65, shard_items=64))
    with pytest.raises(kind) as refused:
        create_job(world.db, world.settings, owner=world.owner.address, body=body)
    assert refused.value.code == code
    with world.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_quotes_are_limited_per_account(world: World) -> None:
    """Too many that wait, too many an hour: told to wait, and how long."""
    limits = world.settings.limits.model_copy(update={"jobs_per_account_waiting": 2, "quotes_per_hour": 3})
    settings = world.settings.model_copy(update={"limits": limits})

    def make(key: str) -> str:
        return create_job(world.db, settings, owner=world.owner.address, body=body_for(world, RenderSpec(), key))

    first = make("first-of-them")
    make("second-of-them")
    with pytest.raises(SlowDown, match="2 jobs of yours wait"):
        make("third-of-them")
    cancel(world.db, settings, owner=world.owner.address, job_id=first)
    make("third-of-them")
    cancel(world.db, settings, owner=world.owner.address, job_id=first)
    with pytest.raises(SlowDown) as refused:
        limits_off = limits.model_copy(update={"jobs_per_account_waiting": 10})
        create_job(
            world.db, settings.model_copy(update={"limits": limits_off}), owner=world.owner.address,
            body=body_for(world, RenderSpec(), "fourth-of-them"),
        )  # fmt: skip
    assert refused.value.retry_after > 3000


def test_what_cannot_be_rendered_fails_with_the_runners_own_words(world: World) -> None:
    """Code and message of the runner reach the client; nothing was charged; no work stays open."""
    job_id = create(world)
    admit(world.db, world.settings, job_id)
    person, offer = trusted_lease(world, WorkKind.DESCRIBE)
    message = "The scene needs files that are not with it: //wood.png."
    body = Fail(token=offer.token, code="missing_file", message=message, scene_fault=True)
    fail(world.db, world.settings, node=person.address, lease_id=offer.id, body=body)
    job = job_of(world, job_id)
    assert (job.state, job.error_code, job.error, job.cap) == ("failed", "missing_file", message, None)
    admit(world.db, world.settings, job_id)
    assert job_of(world, job_id).version == job.version


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ({}, "not_described"),
        ({"description": {}, "contract": {"runtime": "blender"}}, "bad_contract"),
        ({"description": {}, "contract": CONTRACT.model_dump(mode="json")}, "bad_contract"),
        ({"description": {}, "contract": RENDER.model_dump(mode="json")}, "no_frames"),
        ({"description": {"frame_start": 5, "frame_end": 4}, "contract": RENDER.model_dump(mode="json")}, "no_frames"),
        (
            {
                "description": DESCRIPTION,
                "contract": {**RENDER.model_dump(mode="json"), "width": 60000, "height": 60000},
            },
            "too_large",
        ),
        (
            {"description": DESCRIPTION, "contract": {**RENDER.model_dump(mode="json"), "window": [0, 0, 400, 180]}},
            "bad_contract",
        ),
        (
            {"description": DESCRIPTION, "contract": RENDER.model_dump(mode="json"), "replaces": {"scene.blend": ""}},
            "not_described",
        ),
    ],
)  # fmt: skip
def test_a_description_that_does_not_hold_ends_the_job(world: World, result: dict[str, Any], code: str) -> None:
    """What a runner says is checked before it becomes a contract."""
    job_id = create(world)
    admit(world.db, world.settings, job_id)
    person, offer = trusted_lease(world, WorkKind.DESCRIBE)
    world.complete(person, offer, result=result)
    admit(world.db, world.settings, job_id)
    job = job_of(world, job_id)
    assert (job.state, job.error_code) == ("failed", code) and job.error


def test_a_cap_below_the_quote_is_said_with_both_numbers(world: World) -> None:
    """Failed with `cap_below_quote`, and what would be enough."""
    world.worker(ask=0.1, cls=BLENDER)
    job = quoted(world, RenderSpec(max_price_usd=0.001))
    assert (job.state, job.error_code) == ("failed", "cap_below_quote")
    assert "0.001 USD" in str(job.error) and "raise the cap" in str(job.error)


def test_the_cap_buys_fewer_machines_before_it_fails(world: World) -> None:
    """Where the cheapest machine alone fits the cap, the job goes to it."""
    for ask in (0.1, 0.9):
        world.worker(ask=ask, cls=BLENDER)
    free = quoted(world, RenderSpec(), "without-a-cap")
    assert free.quote is not None and free.quote["usd_per_kiln_hour"] == 0.9
    job = quoted(world, RenderSpec(max_price_usd=float(free.quote["price_usd"]) / 2), "with-a-cap")
    assert job.state == "quoted" and job.quote is not None and job.quote["usd_per_kiln_hour"] == 0.1
    assert float(job.quote["cap_usd"]) <= float(free.quote["price_usd"]) / 2


def test_without_nodes_there_is_a_quote_and_a_warning(world: World) -> None:
    """The price is the deployment's own; the client is told that the job will wait."""
    job = quoted(world)
    assert job.quote is not None and job.quote["usd_per_kiln_hour"] == world.settings.usd_per_kiln_hour
    assert any("Nobody online fits" in line and "refunded" in line for line in job.quote["warnings"])
    assert job.quote["auction"]["fitting"] == 0 and job.quote["auction"]["clearing_ask"] is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cap": 1}, "wrong_cap"),
        ({"deadline": 10}, "wrong_deadline"),
        ({"deadline": 4_000_000_000}, "wrong_deadline"),
        ({"signer": Person()}, "bad_signature"),
        ({"signed": {"deadline": 5}}, "bad_signature"),
    ],
)
def test_only_the_owners_own_order_opens_an_escrow(world: World, change: dict[str, Any], code: str) -> None:
    """Another cap, a deadline that has passed or is too far, another signer, another order signed: refused."""
    job = quoted(world)
    with pytest.raises(Unprocessable) as refused:
        body = order(world, job, **change)
        accept(world.db, world.settings, world.domain, owner=world.owner.address, job_id=job.id, body=body)
    assert refused.value.code == code and job_of(world, job.id).state == "quoted"
    with pytest.raises(NotFound):
        accept(world.db, world.settings, world.domain, owner=Person().address, job_id=job.id, body=order(world, job))


def test_an_order_twice_is_one_order_and_a_lapsed_quote_is_none(world: World, clock: Any) -> None:
    """The same order again changes nothing; after the quote's time there is no order, and the job ends uncharged."""
    job = quoted(world)
    body = order(world, job)
    for _ in range(2):
        accept(world.db, world.settings, world.domain, owner=world.owner.address, job_id=job.id, body=body)
    assert job_of(world, job.id).version == job.version + 1 and job_of(world, job.id).state == "opening"
    late = quoted(world, key="another-key")
    body = order(world, late)
    clock.now += world.settings.quote_seconds + 1
    with pytest.raises(Conflict) as refused:
        accept(world.db, world.settings, world.domain, owner=world.owner.address, job_id=late.id, body=body)
    assert refused.value.code == "quote_lapsed"
    assert deadlines(world.db, world.settings) == 1
    assert job_of(world, late.id).error_code == "quote_lapsed"
    with pytest.raises(Conflict) as refused:
        accept(world.db, world.settings, world.domain, owner=world.owner.address, job_id=late.id, body=body)
    assert refused.value.code == "quote_lapsed"


def test_orders_of_one_wallet_are_opened_one_after_the_other(world: World) -> None:
    """A permit has a number, which the one before it uses up: the second order is told to wait, and taken after it."""
    first, second = quoted(world), quoted(world, key="another-key")

    def give(job: Job) -> None:
        body = order(world, job)
        allowed = PermitSignature(value=body.cap, nonce=0, deadline=body.deadline, signature=body.order_signature)
        body = body.model_copy(update={"permit": allowed})
        accept(world.db, world.settings, world.domain, owner=world.owner.address, job_id=job.id, body=body)

    give(first)
    with pytest.raises(Conflict, match="with a new permit") as refused:
        give(second)
    assert refused.value.code == "opening_another" and job_of(world, second.id).state == "quoted"
    with world.db.begin() as session:
        change_job(session, session.get_one(Job, first.id), JobState.RUNNING)
    give(second)
    assert job_of(world, second.id).state == "opening"


def test_cancel_stops_everything_and_settles(world: World) -> None:
    """Running leases hear it at the next heartbeat, nothing new is leased, and it happens once."""
    job_id, worker = world.job(), world.worker()
    offer = world.claim(worker)
    assert offer is not None
    for _ in range(2):
        cancel(world.db, world.settings, owner=world.owner.address, job_id=job_id)
    job = job_of(world, job_id)
    assert (job.state, job.outcome) == ("settling", "cancelled")
    assert world.beat(worker, offer).cancel and world.claim(worker) is None
    assert reap(world.db, world.settings) == 0
    with world.db.read() as session:
        assert set(session.scalars(select(Work.state))) == {"cancelled"}
        assert set(session.scalars(select(Lease.state))) == {"released"}


def test_a_cancel_while_the_escrow_is_opened_is_kept(world: World) -> None:
    """The money is locked already or not: either way the wish is carried out when that is known."""
    job_id = world.job(tiles=0, state="opening")
    cancel(world.db, world.settings, owner=world.owner.address, job_id=job_id)
    assert job_of(world, job_id).state == "opening"
    with world.db.begin() as session:
        change_job(session, session.get_one(Job, job_id), JobState.RUNNING)
    plan(world.db, world.settings, job_id)
    job = job_of(world, job_id)
    assert (job.state, job.outcome) == ("settling", "cancelled")


def test_pause_leases_nothing_new_and_resume_goes_on(world: World) -> None:
    """What runs is finished; the rest waits."""
    job_id, worker = world.job(), world.worker()
    offer = world.claim(worker)
    assert offer is not None
    for _ in range(2):
        pause(world.db, world.settings, owner=world.owner.address, job_id=job_id)
    assert world.claim(worker) is None
    assert not world.beat(worker, offer).cancel
    assert world.do_tile(worker, offer).state == "uploaded"
    for _ in range(2):
        resume(world.db, world.settings, owner=world.owner.address, job_id=job_id)
    assert world.claim(worker) is not None
    cancel(world.db, world.settings, owner=world.owner.address, job_id=job_id)
    for action in (pause, resume):
        with pytest.raises(Conflict):
            action(world.db, world.settings, owner=world.owner.address, job_id=job_id)


def test_nobody_comes_and_the_deadline_refunds(world: World, clock: Any) -> None:
    """No node fits: the job runs until its deadline and then settles as failed, with nothing to pay."""
    job_id = world.job()
    clock.now += 3599
    assert deadlines(world.db, world.settings) == 0
    clock.now += 2
    assert [deadlines(world.db, world.settings) for _ in range(2)] == [1, 0]
    job = job_of(world, job_id)
    assert (job.state, job.outcome, job.error_code) == ("settling", "failed", "no_nodes")
    assert "none is online" in str(job.error) and "refunded" in str(job.error)


def test_an_admission_that_nobody_takes_ends_uncharged(world: World, clock: Any) -> None:
    """Without a trusted worker the job fails at its deadline, and says for whom it waited."""
    job_id = create(world, RenderSpec(deadline_s=60))
    admit(world.db, world.settings, job_id)
    clock.now += 61
    assert deadlines(world.db, world.settings) == 1
    job = job_of(world, job_id)
    assert (job.state, job.error_code) == ("failed", "no_trusted_worker") and "own workers" in str(job.error)


def test_events_are_json_with_the_state(world: World) -> None:
    """Each change of a job is there for those who watch it, in order."""
    job = quoted(world)
    with world.db.read() as session:
        rows = session.scalars(
            select(Event).where(Event.job_id == job.id, Event.type == "job").order_by(Event.id)
        ).all()
    states = [row.data["state"] for row in rows]
    assert states[0] == "admitting" and states[-1] == "quoted"
    assert json.dumps([row.data for row in rows])
