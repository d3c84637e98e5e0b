"""A receipt of a job that a real chain has settled, proven in the browser; and every way to forge one, caught there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from contracts.errors import ToolMissing
from contracts.toolchain import find_anvil
from tests.coordinator.gateway.conftest import Served
from tests.web.chained import chained, through
from tests.web.fair import Fair, Frame

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A gateway with a chain of its own, and a job of five tiles that went all the way there."""
    try:
        find_anvil()
    except ToolMissing as error:
        pytest.skip(str(error))
    with chained(tmp_path_factory.mktemp("proof")) as served:
        fair = Fair(served.world)
        fair.enlist(3)
        yield served, through(served.world, fair, "settled", Frame(80, 16, 2), (5, 1))


def _receipts(served: Served, job: str) -> list[dict[str, Any]]:
    with served.client(served.world.owner) as client:
        return [one.model_dump(mode="json") for one in client.receipts(job)]


def _drop(page: Page, served: Served, content: Any, folder: Path) -> None:
    file = folder / "receipt.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    if "/audit" not in page.url:
        page.goto(f"{served.url}/audit")
        page.wait_for_load_state("networkidle")
    page.set_input_files("input[type=file]", str(file))


def test_a_receipt_is_proven_without_an_account(page: Page, settled: tuple[Served, str], tmp_path: Path) -> None:
    """All checks hold, the escrow's own too, which the browser asks itself; the path ends in the root on chain."""
    served, job = settled
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    receipts = _receipts(served, job)
    _drop(page, served, receipts[3], tmp_path)
    page.get_by_role("heading", name="Proven").wait_for()
    assert page.locator(".checks li.good").count() == 7
    assert any(url.startswith(served.world.settings.chain.rpc_url) for url in asked), "the chain was not asked"
    with httpx.Client(base_url=served.url) as client:
        root = client.get(f"/v1/ledger/jobs/{job}/escrow").json()["receipt_root"]
    assert page.locator(".path li").last.get_by_role("button").last.get_attribute("title") == root
    # The whole list, one after the other; and a bundle.
    _drop(page, served, receipts, tmp_path)
    page.locator("main select").select_option("4")
    page.get_by_text("job, tile 4, attempt").wait_for()
    page.get_by_role("heading", name="Proven").wait_for()
    with served.client(served.world.owner) as signed_in:
        _drop(page, served, signed_in.bundle(job), tmp_path)
    page.get_by_role("heading", name="Proven").wait_for()


def _other(value: str) -> str:
    return value[:-1] + ("0" if value[-1] != "0" else "1")


def _resigned(one: dict[str, Any]) -> None:
    signature = one["signature"]
    one["signature"] = signature[:10] + _other(signature[10:20]) + signature[20:]


FORGED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "price": (lambda one: one.update(price=str(int(one["price"]) + 1)), "The leaf is the hash"),
    "tile": (lambda one: one.update(tile=one["tile"] + 1), "The leaf is the hash"),
    "node": (lambda one: one.update(node=_other(one["node"])), "The coordinator signed it"),
    "signature": (_resigned, "The coordinator signed it"),
    "commitment": (lambda one: one.update(commitment=_other(one["commitment"])), "The node had committed"),
    "fencing token": (lambda one: one.update(fencing_token=one["fencing_token"] + 1), "The node had committed"),
    "secret": (lambda one: one.update(secret=_other(one["secret"])), "The secret was fixed before"),
    "cells": (lambda one: one.update(cells=[*one["cells"][:-1], 1000]), "Commitment and secret draw"),
    "path": (lambda one: one.update(proof=[_other(one["proof"][0]), *one["proof"][1:]]), "The leaf hangs on"),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_receipt_is_caught(page: Page, settled: tuple[Served, str], tmp_path: Path, what: str) -> None:
    """The check that names it does not hold, and the verdict says not to rely on it."""
    served, job = settled
    forge, check = FORGED[what]
    receipt = next(one for one in _receipts(served, job) if len(one["proof"]) > 1)
    forge(receipt)
    _drop(page, served, receipt, tmp_path)
    page.get_by_role("heading", name="This receipt is not what it says").wait_for()
    failed = page.locator(".checks li.bad").all_inner_texts()
    assert any(check in text for text in failed), failed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hello", "not JSON"), ("[]", "no receipt in this file"), ('{"job": 1}', "price is no amount"),
        ('"<b>"', "this is no receipt"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_receipt(
    page: Page, settled: tuple[Served, str], tmp_path: Path, content: str, said: str
) -> None:
    """One line says what is wrong with it."""
    _drop(page, settled[0], content, tmp_path)
    page.get_by_role("alert").get_by_text(said).wait_for()
