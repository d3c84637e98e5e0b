"""The host's side of a runner: start it in its sandbox, ask it, believe nothing it says unchecked.

One line of JSON each way. The runner first says `{"event": "ready", "protocol": 1, ...}`; a request is `{"id": 7,
"op": "...", ...}`; its answers are any number of `{"id": 7, "event": "progress", "done": 0.3}` and then `{"id": 7,
"ok": true, "result": {...}}` or `{"id": 7, "ok": false, "error": {"code", "message", "scene_fault"}}`. In between
`{"event": "alive", "cpu_seconds": 1.5}` may come; whether a runner stands still is measured from outside all the
same. Bulk data goes through files in the scratch folder, opened with `open_result` or `read_result` and nothing
else.
"""

from node.runner_process.errors import (
    RunnerCancelled,
    RunnerCrashed,
    RunnerDeadlineExceeded,
    RunnerError,
    RunnerFailure,
    RunnerHung,
    RunnerLimitExceeded,
    RunnerOutOfMemory,
    RunnerProtocolError,
)
from node.runner_process.process import RunnerProcess, Usage
from node.runner_process.scratch import open_result, plain_name, read_result

__all__ = [
    "RunnerCancelled",
    "RunnerCrashed",
    "RunnerDeadlineExceeded",
    "RunnerError",
    "RunnerFailure",
    "RunnerHung",
    "RunnerLimitExceeded",
    "RunnerOutOfMemory",
    "RunnerProcess",
    "RunnerProtocolError",
    "Usage",
    "open_result",
    "plain_name",
    "read_result",
]
