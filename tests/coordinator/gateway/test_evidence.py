"""Evidence over HTTP: the job's owner and the node concerned each see their own, and it holds together."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.judging import draw, judge
from coordinator.store.models import Account, Lease
from jobs.errors import KilnetError
from jobs.evidence import Evidence, Refusals
from jobs.states import WorkKind
from tests.coordinator.gateway.conftest import Served
from tests.coordinator.world import ITEM_BYTES, Person
from verification.evidence import examine


def _owner(served: Served) -> Person:
    """Somebody who has an account."""
    person = Person()
    with served.world.db.begin() as session:
        session.add(Account(address=person.address, created_at=0))
    return person


def _judged(served: Served, *, spoil: bool) -> tuple[str, Person, Person, str]:
    """A tile through lease, commitment, upload, challenge, audit and verdict: job, owner, node, lease."""
    world = served.world
    owner, node = _owner(served), world.worker()
    world.worker(world.trusted)
    job = world.job(1, count=40, owner=owner.address)
    offer = world.claim(node)
    assert offer is not None
    world.do_tile(node, offer, b"\1" * (40 * ITEM_BYTES) if spoil else None)
    draw(world.db, world.settings, offer.id)
    audit = world.claim(world.trusted, WorkKind.AUDIT)
    assert audit is not None
    world.do_audit(world.trusted, audit)
    judge(world.db, world.settings, offer.id)
    return job, owner, node, offer.id


@pytest.mark.parametrize("spoil", [True, False])
def test_the_owner_gets_evidence_that_holds(served: Served, spoil: bool) -> None:
    """Of a refused tile with its secret; of an accepted one the secret is kept until the job is settled. Every
    signature, path and drawing holds, and the cell is one that differed."""
    job, owner, node, lease = _judged(served, spoil=spoil)
    with served.client(owner) as client:
        made = client.evidence(job, 0)
    assert isinstance(made, Evidence)
    assert (made.job, made.tile, made.worker.lease, made.worker.address) == (job, 0, lease, node.address)
    assert [one for one in examine(made) if not one.held] == []
    assert made.auditor is not None and made.auditor.address == served.world.trusted.address
    assert (made.worker.data != made.auditor.data) is spoil
    assert (made.verdict == "reject") is spoil and (made.secret is not None) is spoil


def test_a_named_cell_that_was_not_audited_has_one_side(served: Served) -> None:
    job, owner, _, lease = _judged(served, spoil=False)
    with served.world.db.read() as session:
        drawn = session.get_one(Lease, lease).cells or []
    other = next(cell for cell in range(40) if cell not in drawn)
    with served.client(owner) as client:
        made = client.evidence(job, 0, attempt=1, cell=other)
    assert made.cell == other and made.auditor is None
    assert [one for one in examine(made) if not one.held] == []


def test_each_sees_its_own_and_nobody_else_anything(served: Served) -> None:
    """The owner by job and tile, the node by its lease; a stranger is told that there is no such thing."""
    job, owner, node, lease = _judged(served, spoil=True)
    stranger = served.world.worker()
    paths = {f"/v1/jobs/{job}/tiles/0/evidence": [owner], f"/v1/leases/{lease}/evidence": [owner, node]}
    for path, allowed in paths.items():
        for person in (owner, node, stranger):
            with served.client(person) as client:
                if person in allowed:
                    assert client._driver.run(client._account.get(Evidence, path)).worker.lease == lease
                else:
                    with pytest.raises(KilnetError):
                        client._driver.run(client._account.get(Evidence, path))


def test_a_node_sees_what_it_was_refused_for(served: Served) -> None:
    """Reason, lane and cells of its own refused tiles; another node sees none of them."""
    _, _, node, lease = _judged(served, spoil=True)
    with served.client(node) as client:
        [refusal] = client._driver.run(client._account.get(Refusals, "/v1/nodes/me/refusals")).refusals
    assert refusal.lease == lease and refusal.kept and refusal.cells == 24 and refusal.differing
    assert "24 of 24 challenged cells" in refusal.reason
    with served.client(served.world.worker()) as client:
        assert client._driver.run(client._account.get(Refusals, "/v1/nodes/me/refusals")).refusals == ()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/jobs/{job}/tiles/7/evidence", "tile 7 of job"),
        ("/v1/jobs/{job}/tiles/0/evidence?attempt=9", "attempt 9 at tile 0"),
        ("/v1/jobs/{job}/tiles/0/evidence?cell=40", "cells 0 to 39, no cell 40"),
        ("/v1/jobs/{job}/tiles/0/evidence?cell=-1", "cell"),
        ("/v1/jobs/nosuchjob/tiles/0/evidence", "no job nosuchjob"),
        ("/v1/leases/nosuchlease/evidence", "no lease 'nosuchlease'"),
    ],
)
def test_what_there_is_no_evidence_of_is_one_line(served: Served, path: str, said: str) -> None:
    job, owner, _, _ = _judged(served, spoil=True)
    with served.client(owner) as client, pytest.raises(KilnetError) as refused:
        client._driver.run(client._account.get(Any, path.format(job=job)))
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_tile_without_a_verdict_has_no_evidence(served: Served) -> None:
    world = served.world
    owner, node = _owner(served), world.worker()
    world.job(1, owner=owner.address)
    offer = world.claim(node)
    assert offer is not None
    with served.client(node) as client, pytest.raises(KilnetError, match="judged tiles only"):
        client._driver.run(client._account.get(Evidence, f"/v1/leases/{offer.id}/evidence"))
