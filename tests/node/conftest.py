"""A small gateway on a socket, and a key."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytest

from node.gateway import GatewayClient, Transport
from node.keys import NodeKey
from tests.node.small_gateway import SmallGateway


@pytest.fixture
def gateway() -> Iterator[SmallGateway]:
    made = SmallGateway()
    yield made
    made.close()


@pytest.fixture
def key(tmp_path: Path) -> NodeKey:
    return NodeKey.load_or_create(tmp_path / "key")


@pytest.fixture
def transport(gateway: SmallGateway, key: NodeKey) -> Iterator[Transport]:
    """A transport that waits 20 ms where a node would wait seconds."""
    made = Transport(gateway.url, key, wait=lambda: repeat(0.02))
    yield made
    made.close()


@pytest.fixture
def client(transport: Transport) -> GatewayClient:
    return GatewayClient(transport)
