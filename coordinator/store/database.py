"""The one way to the database: SQLite or PostgreSQL, short transactions, and what follows a commit.

SQLite runs in WAL mode and every writing transaction begins IMMEDIATE, so that there is one writer at a time and
nobody upgrades a lock half way. PostgreSQL runs READ COMMITTED; rows that two transactions could both decide about are
locked (`locked`), and states change only through coordinator.states.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Select, create_engine, event, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from jobs.errors import Unavailable

__all__ = ["Database", "Stale", "on_commit"]

T = TypeVar("T")
_LOG = structlog.get_logger(__name__)
_BUSY_SECONDS = 30
_READ = "kilnet_read"
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x6B696C6E  # any number, as long as all processes lock the same one
_RETRIED = {"40001", "40P01"}  # PostgreSQL: serialization failure, deadlock


class Stale(Exception):
    """A row was changed by somebody else since it was read: what was decided about it no longer holds.

    `Database.transact` starts over; whoever uses `begin` must do so too, or give up."""


def on_commit(session: Session, action: Callable[[], None]) -> None:
    """Run `action` when the transaction of `session` has committed (hints, wake-ups); never if it has not.

    A failing action is logged and changes nothing: what it would have hinted at stands in the database."""
    session.info.setdefault("on_commit", []).append(action)


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity; evidence may hold them, and is kept as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _dumps(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _prepare_sqlite(engine: Engine) -> None:
    """Pragmas on each connection, and BEGIN written by us: the driver's own would be a deferred one."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        # FULL: a transaction on the chain must never be known to the chain only, even after a power cut.
        for pragma in (
            f"busy_timeout={_BUSY_SECONDS * 1000}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get(_READ)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


class Database:
    """A pool of connections to `url` (SQLAlchemy: sqlite:///FILE or postgresql+psycopg://…).

    `clock` gives Unix seconds; tests pass their own."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self.url = make_url(url)
        self._clock = clock
        self.is_postgresql = self.url.get_backend_name() == "postgresql"
        if self.is_postgresql:
            self.engine = create_engine(
                self.url, json_serializer=_dumps, pool_pre_ping=True, pool_size=10, max_overflow=20
            )
        else:
            if self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            self.engine = create_engine(self.url, json_serializer=_dumps, pool_size=10, max_overflow=20)
            _prepare_sqlite(self.engine)
        self._reading = self.engine.execution_options(**{_READ: True})
        # Threads of one process queue here instead of polling SQLite's own lock, which is not fair.
        self._writers = nullcontext() if self.is_postgresql else threading.Lock()

    def now(self) -> float:
        """Unix seconds."""
        return self._clock()

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One writing transaction: committed at the end of the block, rolled back where it raises.

        Not to be nested, and to be held for milliseconds: no file, no network, no rendering inside."""
        with self._writers, Session(self.engine, expire_on_commit=False) as session:
            with session.begin():
                yield session
            actions = session.info.pop("on_commit", [])
        for action in actions:
            try:
                action()
            except Exception as error:
                _LOG.warning("after_commit_failed", action=getattr(action, "__qualname__", ""), error=str(error))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads; on SQLite it waits for no writer and sees one moment."""
        with Session(self._reading, expire_on_commit=False) as session, session.begin():
            yield session

    def transact(self, work: Callable[[Session], T], *, attempts: int = 8) -> T:
        """`work` in a transaction of its own, again from the start where a row was Stale or the server saw a deadlock.

        Raises Stale after `attempts`."""
        for attempt in range(attempts):
            try:
                with self.begin() as session:
                    return work(session)
            except Stale:
                if attempt == attempts - 1:
                    raise
            except DBAPIError as error:
                if attempt == attempts - 1 or getattr(error.orig, "sqlstate", None) not in _RETRIED:
                    raise
            time.sleep(random.uniform(0.001, 0.01) * 2**attempt)  # noqa: S311 - spreads retries, guards nothing
        raise AssertionError("unreachable")

    def locked(self, statement: Select[Any]) -> Select[Any]:
        """Rows locked until the end of the transaction; on SQLite the transaction itself is the lock."""
        return statement.with_for_update() if self.is_postgresql else statement

    def skip_locked(self, statement: Select[Any]) -> Select[Any]:
        """As `locked`, but rows that another transaction holds are left out instead of waited for."""
        return statement.with_for_update(skip_locked=True) if self.is_postgresql else statement

    def migrate(self) -> None:
        """Bring the schema to the newest version. Processes may all call it at once: one works, the others wait."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        try:
            with self._writers, self.engine.begin() as connection:
                if self.is_postgresql:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except DBAPIError as error:
            where = self.url.render_as_string(hide_password=True)
            line = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
            raise Unavailable(f"the database {where} cannot be used ({line}); check database_url") from error

    def close(self) -> None:
        """Close idle connections; the object stays usable."""
        self.engine.dispose()
