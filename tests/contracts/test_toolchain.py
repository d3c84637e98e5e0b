"""What the tools are installed from is exact, complete and bound to no server."""

import json
import re

from contracts.toolchain import PACKAGE, _npm_reason

LOCK = json.loads((PACKAGE / "package-lock.json").read_text())["packages"]


def test_every_platform_is_locked() -> None:
    """`npm ci` refuses a lock that lacks another platform's optional package, even where it is not needed."""
    for name, entry in LOCK.items():
        for needed, version in entry.get("optionalDependencies", {}).items():
            assert LOCK[f"node_modules/{needed}"]["version"] == version, f"{name} needs {needed}"


def test_versions_are_exact() -> None:
    """No range: the same bytes for everybody."""
    package = json.loads((PACKAGE / "package.json").read_text())
    for versions in (package["dependencies"], package["devDependencies"]):
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())


def test_the_lock_names_no_server() -> None:
    """Whatever registry npm is set to serves it."""
    assert not [name for name, entry in LOCK.items() if "resolved" in entry]


def test_npm_says_why() -> None:
    """The reason, not where npm keeps its log."""
    output = (
        "npm warn x\nnpm error code E404\nnpm error 404 Not Found - GET forge\nnpm error A complete log of this run"
    )
    assert _npm_reason(output) == "404 Not Found - GET forge"
