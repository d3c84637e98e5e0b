"""docs/errors.md is what the code says, and what the code says helps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.messages.source import Kinds, messages
from tests.messages.table import PAGE, markdown, sections

_REMEDY = re.compile(
    r"""\b(accept|add|allow|ask|audit|bake|begin|break|bring|cancel|change|check|choose|clear|close|connect|convert|copy
    |create|drop|enable|export|fetch|fill|follow|give|hash|inline|install|leave|let|look|lower|make|mend|move|must|name
    |only|open|order|pack|pip|put|raise|read|register|rename|render|repeat|replace|resize|restore|run|save|say|see|send|set
    |show|sign|split|start|stop|submit|switch|take|try|update|upload|use|wait|write)\b
    |`kilnet|at[ ]most|there[ ](are|is)|nothing[ ]was[ ]charged|refunded|go(es)?[ ](on|by[ ]themselves)
    |is[ ]it[ ]running|is[ ]sent[ ]again|nodes/register|sets[ ]notify\.smtp|graphics[ ]driver|costs[ ]nothing
    |is[ ]the[ ]items""",
    re.IGNORECASE | re.VERBOSE,
)
_HANDED_ON = {
    "{path}: steps.{name}.{error}", "{path}: steps.{name}: {…}", "address: {error}", "receipt {i}: {message}",
    "tile {index} fails on every machine that tried it: {message}", "{held}: {reason} (after {attempts} attempts)",
    "job {job}: {number} of {number} checks failed, the first: {name}{where}: {detail}", "{do}: stopped",
    "the sample batch could not be made: {lines}", "Scene {name} has no active camera: {hint}.",
}  # fmt: skip
"""Lines whose last part is another line with its own remedy, and one that the reader asked for (stopped)."""


def test_the_page_is_what_the_code_says() -> None:
    """Fails when a message was changed, added or removed and `python -m tests.messages` was not run."""
    assert PAGE.read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize("place", range(len(sections())), ids=[heading for heading, _, _ in sections()])
def test_every_line_says_what_to_do(place: int) -> None:
    """No line only complains: each holds an instruction, a limit, or a choice of what there is."""
    found = sections()[place][2]
    assert len(found) > 5
    mute = [one.text for one in found if not _REMEDY.search(one.text) and one.text not in _HANDED_ON]
    assert not mute, "\n".join(mute)


def test_a_message_is_read_whichever_way_it_is_written(tmp_path: Path) -> None:
    """Plain, formatted, of two parts, chosen, through a local name, with a word of its own, and by a subclass; what
    hands on another's text is left out."""
    file = tmp_path / "made.py"
    file.write_text(
        """
class BadInput(KilnetError):
    exit_code = 2
    code = "bad_input"
class Worse(BadInput):
    code = "worse"
def one(path, error, many):
    line = f"{path.name}: no such file; check it"
    raise BadInput(line)
def two(path, error, many):
    raise Worse(f"{len(many)} are " "too many: at most {most}" if many else "none: give one", code="count")
def three(error):
    raise BadInput(str(error)) from error
"""
    )
    kinds = Kinds.read([file], roots=("KilnetError",))
    found = {(one.text, one.code, one.number) for one in messages(file, tmp_path, kinds)}
    assert found == {
        ("{name}: no such file; check it", "bad_input", 2),
        ("{number} are too many: at most {most}", "count", 2),
        ("none: give one", "count", 2),
    }


def test_the_reading_is_not_blind() -> None:
    """Lines that are known to be said are in the table: one of each way to a person."""
    told = {one.text for _, _, found in sections() for one in found}
    for text in (
        "{path}: no such file; check the path",
        "this link was used or is too old; `kilnet page` prints a new one",
        "The scene has no camera: add one, or choose it in the scene's properties.",
        "The gateway does not answer. The page goes on by itself when it does.",
        "the preview was rejected; what was rendered of it is paid, the rest refunded",
    ):
        assert text in told
