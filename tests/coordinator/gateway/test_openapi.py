"""The published OpenAPI document: it is what the gateway serves, and the gateway does what it says."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.errors import ToolMissing
from contracts.toolchain import find_anvil
from coordinator.gateway.document import DOCUMENT, current
from tests.coordinator.gateway.conftest import Served
from tests.web.chained import chained, through
from tests.web.fair import Fair, Frame

_EXAMPLES = 12
"""For each call. Enough to reach every rule of a path and a body; `make slow` tries more."""
_LONG = [pytest.mark.slow, pytest.mark.timeout(1800)]
_ENDLESS = re.compile(r"/events$")


def test_the_document_is_up_to_date() -> None:
    """docs/openapi.json is what the code says; otherwise: python -m coordinator.gateway.document."""
    assert DOCUMENT.read_text(encoding="utf-8") == current()


def test_every_call_is_described() -> None:
    """Each has an answer with a type, its errors have theirs, and each that needs a sign-in says so."""
    made = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    names = []
    for path, methods in made["paths"].items():
        for method, call in methods.items():
            names.append(call["operationId"])
            assert {"4XX", "5XX"} <= set(call["responses"]), (method, path)
            answers = [one for status, one in call["responses"].items() if status.startswith("2")]
            assert all(one.get("content") or status == "204" for status, one in call["responses"].items()
                       if status in ("200", "206")), (method, path)  # fmt: skip
            assert answers and all({} not in one.get("content", {}).values() for one in answers), (method, path)
            open_to_all = path in ("/healthz", "/metrics", "/v1/info") or re.match(r"/v1/(auth|ledger)", path)
            assert "security" in call or open_to_all, (method, path)
            if method == "post" and "security" not in call:
                assert "requestBody" in call, path
    assert len(set(names)) == len(names) > 50


@pytest.fixture(scope="module")
def town() -> Iterator[tuple[Served, dict[str, str]]]:
    """A gateway with a chain, a node, and a job that went all the way; and values of the paths that lead to them."""
    try:
        find_anvil()
    except ToolMissing as error:
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory() as folder, chained(Path(folder)) as served:
        fair = Fair(served.world)
        fair.enlist(2, owner=served.world.owner.address)
        done = through(served.world, fair, "settled", Frame(64, 32, 2), (2, 1))
        running = fair.render("running", Frame(64, 32, 3), (2, 1))
        offer = fair.claim_of(running)
        yield served, {"job": done, "lease": offer.id}


def _token(served: Served) -> str:
    with served.client(served.world.owner) as client:
        bearer = client._driver.run(client._account.calls.bearer())
    return bearer["Authorization"].removeprefix("Bearer ")


@pytest.mark.chain
@pytest.mark.parametrize(
    "examples", [_EXAMPLES, pytest.param(150, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_the_gateway_does_what_it_says(town: tuple[Served, dict[str, str]], examples: int) -> None:
    """Calls made up from the document, right and wrong ones: never a 500, and every answer has a status, a content type
    and a body that the document names."""
    schemathesis = pytest.importorskip(
        "schemathesis", reason="THE OPENAPI DOCUMENT IS NOT TESTED: schemathesis is not installed; make setup"
    )
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import checks

    served, known = town
    document = httpx.get(f"{served.url}/v1/openapi.json").json()
    assert document == json.loads(DOCUMENT.read_text(encoding="utf-8"))
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=served.url)
    conform = [
        checks.response_schema_conformance, checks.status_code_conformance, checks.content_type_conformance,
    ]  # fmt: skip
    headers = {"Authorization": f"Bearer {_token(served)}"}
    seen: dict[str, list[int]] = {}

    def attempts(operation: Any) -> Callable[[], None]:
        @given(case=operation.as_strategy())
        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def attempt(case: Any) -> None:
            statuses, path = seen.setdefault(operation.label, []), dict(case.path_parameters or {})
            if len(statuses) % 2 == 0:
                # What is there, half of the time: made-up names lead nowhere.
                path |= {"job_id": known["job"]} if "job_id" in path else {}
                path |= {"lease_id": known["lease"]} if "lease_id" in path else {}
            case.path_parameters = path
            if isinstance(case.body, dict) and "wait_seconds" in case.body:
                case.body["wait_seconds"] = 0
            response = case.call(headers=headers, timeout=60)
            statuses.append(response.status_code)
            assert response.status_code not in (500, 502), response.text
            if response.status_code < 500:
                case.validate_response(response, checks=conform)
            else:
                assert set(response.json()) == {"code", "message"}

        return attempt

    for result in schema.get_all_operations():
        operation = result.ok()
        if not _ENDLESS.search(operation.path) and operation.path != "/v1/auth/page/leave":
            attempts(operation)()
    found = {label for label, statuses in seen.items() if {200, 204, 206} & set(statuses)}
    assert len(seen) > 45 and len(found) > 25, {label: sorted(set(seen[label])) for label in set(seen) - found}
