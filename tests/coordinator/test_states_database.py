"""The database: one code for SQLite and PostgreSQL, a schema that is the models', transactions that hold."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, update

from coordinator.store.database import Database, Stale, on_commit
from coordinator.store.models import Account, Base, Blob, Setting


def test_the_migrations_build_what_the_models_say(database_url: str) -> None:
    """No column, type, index or constraint of the models is missing from the migrations, and none is too many."""
    db = Database(database_url)
    db.migrate()
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    db.close()


def test_migrations_may_be_started_by_many_at_once(database_url: str) -> None:
    """Processes that start together all find the schema; none fails because another was building it."""
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda database: database.migrate(), databases))
    with databases[0].read() as session:
        assert session.scalars(select(Account)).all() == []
    for database in databases:
        database.close()


def test_a_transaction_is_whole_or_nothing(db: Database) -> None:
    """What was written before an exception is gone, and what should follow the commit does not happen."""
    called: list[str] = []
    with pytest.raises(RuntimeError), db.begin() as session:
        session.add(Account(address="0x1", created_at=1.0))
        session.flush()
        on_commit(session, lambda: called.append("never"))
        raise RuntimeError
    with db.begin() as session:
        assert session.get(Account, "0x1") is None
        on_commit(session, lambda: called.append("after"))
        assert called == []
    assert called == ["after"]


def test_a_failing_hint_does_not_undo_what_was_decided(db: Database) -> None:
    """An action after the commit may fail; the rows stay."""
    with db.begin() as session:
        session.add(Account(address="0x1", created_at=1.0))
        on_commit(session, lambda: 1 / 0)
    with db.read() as session:
        assert session.get(Account, "0x1") is not None


def test_writers_take_turns(db: Database) -> None:
    """Forty read-modify-write transactions from eight threads lose no update."""
    with db.begin() as session:
        session.add(Setting(name="n", value={"n": 0}))

    def increment(_: int) -> None:
        with db.begin() as session:
            row = session.scalars(db.locked(select(Setting))).one()
            session.execute(update(Setting).values(value={"n": row.value["n"] + 1}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(increment, range(40)))
    with db.read() as session:
        assert session.scalars(select(Setting)).one().value == {"n": 40}


def test_a_reader_waits_for_no_writer(db: Database) -> None:
    """While one transaction writes, another reads the state before it."""
    seen: list[int] = []

    def read() -> None:
        with db.read() as session:
            seen.append(len(session.scalars(select(Account)).all()))

    with db.begin() as session:
        session.add(Account(address="0x1", created_at=1.0))
        session.flush()
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(10)
        assert not reader.is_alive() and seen == [0]


def test_transact_starts_over_when_stale(db: Database) -> None:
    """A decision on an old row is made again on the new one, and given up only after the named number of tries."""
    tries: list[int] = []

    def decide(session: object) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise Stale("changed")
        return "done"

    assert db.transact(decide) == "done" and len(tries) == 3

    def never(session: object) -> None:
        tries.append(1)
        raise Stale("changed")

    tries.clear()
    with pytest.raises(Stale):
        db.transact(never, attempts=3)
    assert len(tries) == 3


def test_foreign_keys_and_large_numbers_hold(db: Database) -> None:
    """A session of nobody is refused; sizes beyond 32 bits and amounts beyond 64 bits come back as they were."""
    from sqlalchemy.exc import IntegrityError

    from coordinator.store.models import Epoch, SignInSession

    with pytest.raises(IntegrityError), db.begin() as session:
        session.add(SignInSession(token_hash="t", address="0xnobody", expires_at=1.0))
    with db.begin() as session:
        session.add(Blob(sha256="a" * 64, size=1 << 40, owner="0x1", created_at=1.0))
        session.add(Epoch(number=1, root="0x", total=2**255 + 1, tx=None, state="posted", created_at=1.0))
    with db.read() as session:
        assert session.get_one(Blob, "a" * 64).size == 1 << 40
        assert session.get_one(Epoch, 1).total == 2**255 + 1


def test_numbers_that_json_does_not_know_are_kept_as_text(db: Database) -> None:
    """Evidence may hold NaN and infinity; it is stored, and never as JSON that PostgreSQL refuses."""
    with db.begin() as session:
        session.add(Setting(name="odd", value={"largest": float("inf"), "list": [float("nan"), 1.5]}))
    with db.read() as session:
        assert session.get_one(Setting, "odd").value == {"largest": "inf", "list": ["nan", 1.5]}
