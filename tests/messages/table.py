"""docs/errors.md: which sources speak to whom, and the page itself."""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from coordinator.notify.words import ADVICE, OTHERWISE
from jobs.errors import BadInput, Refused, Unavailable
from tests.messages.source import Kinds, Message, messages

__all__ = ["PAGE", "REPO", "Section", "markdown", "sections"]

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "docs" / "errors.md"

Section = tuple[str, str, list[Message]]
"""Heading, what is to be known about it, and its messages."""

_ADD_ON = ("jobs/blender_addon",)
_COMMAND = (
    "jobs", "contracts/chain_keeper.py", "contracts/reverts.py", "coordinator/cli", "coordinator/stack",
    "coordinator/config.py",
    "node/agent/settings.py", "node/calibrate", "node/claims.py", "node/cli.py", "node/earnings.py", "node/keys.py",
    "node/money_cli.py", "node/standing_cli.py",
    "node/owner.py", "node/runner_programs.py", "node/setup", "node/stake", "node/staking.py", "verification/limits.py",
)  # fmt: skip
_NOT_SAID = ("jobs/blender_addon", "jobs/merge.py", "jobs/wire", "jobs/client/errors.py", "jobs/states.py")
"""Of those: what has a section of its own, or is never said to a person."""
_GATEWAY = (
    "coordinator/admission", "coordinator/auth", "coordinator/blobs", "coordinator/errors.py", "coordinator/events",
    "coordinator/gateway", "coordinator/notify", "coordinator/views", "coordinator/settlement/price.py",
)  # fmt: skip
_SPECS = ("jobs/spec.py", "jobs/pipeline.py", "jobs/manifest.py", "node/setup")
"""Where a ValueError is pydantic's way to say what is wrong with a field; the line that is shown names the field."""
_ENDINGS = (
    "coordinator/admission/steering.py", "coordinator/judging", "coordinator/leasing/losing.py",
    "coordinator/settlement/escrow.py",
)  # fmt: skip
_RUNNERS = ("node/runners",)
_STATUS = {BadInput.exit_code: 422, Unavailable.exit_code: 503, Refused.exit_code: 409}
"""What the gateway makes of errors that are raised below it."""
_OURS = {
    "bad_request",
    "contract_mismatch",
    "runner_failed",
    "assemble_failed",
    "render_failed",
    "wrong_version",
    "missing_blend",
    "not_instrumented",
    "wrong_runtime",
    "inputs_needed",
}
"""Words of runners for what no person causes."""

_INTRODUCTION = """
Written from the code by `.venv/bin/python -m tests.messages`; a test fails where the two differ. `{...}` stands for
what differs from time to time. Each line says what was wrong and what to do; the word beside it is for programs and
stays.
"""
_ON_COMMAND = """
One line on stderr, and with `--json` an object `{"error": {"code", "message"}}`. The number is the exit code: 2
what was given cannot be used, 3 a part does not answer, 4 refused, 5 the job failed. The SDK raises `BadInput`,
`Unavailable`, `Refused` and `JobFailed` of `jobs.errors` with the same line and `code`.
"""
_FROM_GATEWAY = """
The body `{"code", "message"}` of an answer; the number is its HTTP status. The command line, the SDK, the add-on
and the page show the message as it is. What only workers are told is in [node-protocol.md](node-protocol.md).
"""


@functools.cache
def sections() -> list[Section]:
    """All that a person can be told, in the order of the page."""
    kinds = Kinds.read(_files("jobs", "coordinator", "node", "contracts", "verification"), roots=("KilnetError",))
    answers = Kinds.read(_files("jobs", "coordinator", "contracts"), roots=("KilnetError",))
    # Of these every subclass is answered with the same status (coordinator/gateway/errors.py).
    for name in answers.number:
        answers.number[name] = _STATUS.get(answers.number[name], answers.number[name])
    values = Kinds({"ValueError": "bad_input"}, {"ValueError": 2}, {})
    runners = Kinds({"RunnerError": "", "RequestError": ""}, {"RunnerError": 0, "RequestError": 0}, {})
    command = _said(kinds, *_COMMAND, without=(*_NOT_SAID,)) | _said(values, *_SPECS)
    gateway = {one for one in _said(answers, *_GATEWAY) if one.number}
    endings = _said(Kinds({}, {}, {}), *_ENDINGS)
    scenes = {one for one in _said(runners, *_RUNNERS) if one.code not in _OURS}
    return [
        (
            "In the add-on",
            "What the panel says of its own; everything else there is the command's or the gateway's line, below.",
            sorted(_addon()),
        ),
        (
            "On the command line and in the SDK",
            _ON_COMMAND,
            sorted(command),
        ),
        (
            "From the gateway",
            _FROM_GATEWAY,
            sorted(gateway),
        ),
        (
            "Scenes and models that cannot be done",
            "Found by a trusted worker when it opens the file, before anything is charged, or while it is worked on.",
            sorted(scenes),
        ),
        ("How a job ends", "The reason that the job keeps. What to do next is said with it:", sorted(endings)),
        ("On the page", "What the page says of its own.", sorted(_page())),
    ]


def markdown() -> str:
    """docs/errors.md."""
    out = [
        "# Every error, and what to do",
        "",
        *_wrapped(_INTRODUCTION),
    ]
    for heading, about, found in sections():
        out += ["", f"## {heading}", "", *_wrapped(about), ""]
        if heading == "How a job ends":
            out += ["| word | what to do |", "|---|---|"]
            out += [f"| `{code}` | {_cell(text)} |" for code, text in sorted(ADVICE.items())]
            out += [f"| any other | {_cell(OTHERWISE)} |", ""]
        numbered, worded = any(one.number for one in found), any(one.code for one in found)
        head = ["message", *(["word"] if worded else []), *(["number"] if numbered else []), "said in"]
        out += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for one in found:
            word = [f"`{one.code}`" if one.code else ""] if worded else []
            number = [str(one.number or "")] if numbered else []
            out.append(f"| {' | '.join([_cell(one.text), *word, *number, f'`{one.file}`'])} |")
    return "\n".join(out) + "\n"


def _said(kinds: Kinds, *places: str, without: tuple[str, ...] = ()) -> set[Message]:
    return {
        one
        for file in _files(*places)
        if not file.relative_to(REPO).as_posix().startswith(without or ("\0",))
        for one in messages(file, REPO, kinds)
    }


def _addon() -> Iterator[Message]:
    """NotStarted, and the lines of checks.py."""
    kinds = Kinds({"NotStarted": "", "append": ""}, {"NotStarted": 0, "append": 0}, {})
    for one in _said(kinds, *_ADD_ON):
        yield Message(one.file, one.text, "", 0)
    checks = (REPO / "jobs/blender_addon/checks.py").read_text(encoding="utf-8")
    for text in re.findall(r'return \[f"\{line\}(; [^"]+)"', checks):
        yield Message("jobs/blender_addon/checks.py", "{kind} {name}: {path} is missing" + text, "", 0)


def _page() -> Iterator[Message]:
    """Problem and NoReceipt with a text of their own."""
    for file in sorted((REPO / "coordinator" / "web" / "app").rglob("*.ts*")):
        where, text = file.relative_to(REPO).as_posix(), file.read_text(encoding="utf-8")
        for code, _, said in re.findall(r'new Problem\(\s*"(\w+)",\s*(["`])(.*?)\2,', text, re.S):
            yield Message(where, _placeholders(said), code, 0)
        ending = re.search(r"super\(`\$\{what\}(.*?)`\)", text)
        for kind, _, said in re.findall(r"new (NoReceipt|Malformed)\(\s*([\"`])(.*?)\2\s*\)", text, re.S):
            if re.search("[a-z]{2}", re.sub(r"\$\{[^}]*\}", "", said.removeprefix("receipt"))):
                ends = ending[1] if ending and kind == "Malformed" else ""
                yield Message(where, _placeholders(said + ends), "receipt", 0)


def _placeholders(text: str) -> str:
    return re.sub(r"\$\{(?:\w+\.)*(\w+)[^}]*\}", r"{\1}", text)


def _files(*places: str) -> list[Path]:
    found = []
    for place in places:
        path = REPO / place
        found += [path] if path.is_file() else [file for file in path.rglob("*.py") if "node_modules" not in file.parts]
    return sorted(set(found))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _wrapped(text: str, width: int = 140) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)
