"""`kilnet bridge` as another program speaks it: whatever comes in, a line goes out, and it ends with its reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def _bridge(folder: Path, *lines: str, arguments: tuple[str, ...] = ()) -> tuple[list[dict[str, Any]], str, int]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KILNET")}
    done = subprocess.run(
        [sys.executable, "-m", "coordinator.cli", "bridge", *arguments], input="\n".join(lines) + "\n", text=True,
        capture_output=True, timeout=60, env=environment | {"KILNET_DATA": str(folder)},
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr, done.returncode


def test_what_is_no_request_is_told_in_a_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    """No JSON, no object, no id, an unknown verb, a missing or unknown field: each is answered, none ends it."""
    answers, err, code = _bridge(
        tmp_path, "nonsense", "[1]", '{"do": "hello"}', '{"id": 1, "do": "dance"}', '{"id": 2, "do": "check"}',
        '{"id": 3, "do": "check", "scene": "x.blend", "options": {"nodes": 1}}', '{"id": 4, "do": "stop", "what": 9}',
        '{"id": 5, "do": "check", "scene": "x.blend", "options": {"frames": "ten"}}',
        '{"id": 6, "do": "quote", "job": 7}', "[" * 100_000, '{"id": 7, "do": "change", "job": "j"}',
        '{"id": 8, "do": "change", "job": "j", "priority": true}',
        '{"id": 9, "do": "change", "job": "j", "cap_usd": "much"}',
    )  # fmt: skip
    assert code == 0 and "Traceback" not in err
    said = {one["id"]: one for one in answers if one["id"] is not None}
    assert [one["code"] for one in answers if one["id"] is None] == ["bad_input"] * 4
    assert "there is no request 'dance'" in said[1]["message"] and "scene must be text" in said[2]["message"]
    assert "no option 'nodes'" in said[3]["message"] and said[4]["event"] == "done"
    assert "--frames" in said[5]["message"] and "write 1, 1-10" in said[5]["message"]
    assert said[6]["event"] == "error" and "nothing to change" in said[7]["message"]
    assert "priority must be a whole number" in said[8]["message"] and "write an amount of USD" in said[9]["message"]


def test_without_a_gateway_it_says_how_to_get_one(tmp_path: Path) -> None:
    """On a machine where nothing runs; and a gateway without a key ends the program with what is missing."""
    answers, _, code = _bridge(tmp_path, '{"id": 1, "do": "hello"}')
    assert code == 0 and answers[0]["code"] == "no_gateway" and "kilnet up" in answers[0]["message"]
    answers, _, _ = _bridge(tmp_path, '{"id": 1, "do": "hello"}', arguments=("--gateway", "http://127.0.0.1:1"))
    assert "needs a key" in answers[0]["message"]
