"""The page with 2,000 tiles and 200 nodes: orders of magnitude, on any machine; `make bench-web` has the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench.web import measure, share

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.slow
@pytest.mark.timeout(1800)  # on a machine with much else to do
def test_the_page_stays_live(browser: Browser) -> None:
    """Seconds, not tens of them, from event to screen and to the first paint; no event is skipped for good."""
    found = measure(browser, seconds=5.0)
    assert max(min(paints) for paints in found.first_paint.values()) < 5.0
    assert len(found.events) > 10 and share(found.events, 0.95) < 8.0
    assert share(found.nodes_changed, 0.95) < 8.0
