"""What holds for all tests."""

from __future__ import annotations

import hypothesis
import pytest

# How long an example takes says more about the machine than about the code; nothing here is timed.
hypothesis.settings.register_profile("kilnet", deadline=None)
hypothesis.settings.load_profile("kilnet")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup`: a file's tests stay in one worker, so that they share their fixtures; those that
    start a whole stack come first and one after another, since each of them takes the whole machine."""
    for item in items:
        group = "stack" if item.get_closest_marker("stack") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.get_closest_marker("stack") is None)
