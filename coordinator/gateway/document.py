"""`python -m coordinator.gateway.document` writes docs/openapi.json; with --check it says whether that holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from coordinator.gateway.app import documented

__all__ = ["DOCUMENT", "current"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


def current() -> str:
    """The document as it is kept: written in one way, so that a change of it can be read."""
    return json.dumps(documented(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    made = current()
    if "--check" in sys.argv[1:]:
        if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != made:
            sys.exit("docs/openapi.json is not what the gateway answers; run python -m coordinator.gateway.document")
        return
    DOCUMENT.write_text(made, encoding="utf-8")
    print(f"docs/openapi.json: {made.count('operationId')} calls")


if __name__ == "__main__":
    main()
