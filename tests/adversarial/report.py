"""The table as Markdown, between two marks of docs/proof.md, and as lines for a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verification.calibration import Calibration

__all__ = ["calibrations", "markdown", "write_into"]

_MARKS = ("<!-- {}: written by `make adversaries` -->", "<!-- {}: end -->")
_NAMES = {"phash": "pHash", "dhash": "dHash", "ssim": "SSIM", "redundancy": "two nodes"}


def _share(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "not measured"
    low, high = entry["interval"]
    return f"{entry['share']:.1%} ({low:.1%} to {high:.1%}), {entry['tiles']} tiles"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}" if 0 < value < 0.9995 else f"{value:.0%}"


def markdown(found: dict[str, Any]) -> str:
    """The whole section."""
    probes, honest = found["probes"], found["honest"]
    exact, items = honest["render_exact"], honest["infer_exact"]
    rivals = {row["name"]: row for row in found["rivals"]}
    lines = [
        f"Measured on {found['made']}: {found['scenes']} scenes, {found['pictures']} pictures of {found['cells']} cells, each"
        f" a tile; {found['draws']:,} draws for each figure, every draw a lease, a commitment and a challenge of its own,"
        " over the tiles that the figure names. In parentheses: exact (Clopper-Pearson) 95% intervals,"
        " Bonferroni-corrected for all cheats. `s` is the share of a tile's cells that the cheat changes in any bit: a flat"
        " background is the same from 63 samples as from 64, and nobody is cheated there.",
        "",
        f"| render cheat | s (least) | refused, {probes['first']} cells (new node) | refused, {probes['floor']} cells (floor) |"
        " expected | within 20 tiles |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["render"]:
        within = row["within_20"]
        lines.append(
            f"| {row['what']} | {row['share_of_cells']:.1%} ({row['least_share_of_cells']:.1%}) | {_share(row['first'])} |"
            f" {_share(row['floor'])} | {row['floor']['expected']:.2%} | {within['caught']} of {within['draws']} |"
        )
    lines += [
        "",
        f"Across numerics classes (the tolerant lane, {probes['floor']} cells), refused by an auditor of another class:",
        "",
        "| render cheat | AVX2 | no AVX2 |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row['what']} | {_share(row.get('avx2'))} | {_share(row.get('no-avx2'))} |" for row in found["render"]
    ]
    lines += [
        "",
        f"| inference cheat (tiles of 64 items) | s | refused, {probes['floor']} items | expected | AVX2 | no AVX2 |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['what']} | {row['share_of_cells']:.1%} | {_share(row['floor'])} | {row['floor']['expected']:.2%} |"
        f" {_share(row.get('avx2'))} | {_share(row.get('no-avx2'))} |"
        for row in found["infer"]
    ]
    lines += [
        "",
        "Honest tiles, refused and (tolerant lane) sent to a second auditor:",
        "",
        "| lane | tiles | refused | second look |",
        "|---|---|---|---|",
        f"| render, exact: every cell of {exact['pictures']} pictures of {exact['scenes']} scenes, by auditors whose runners had"
        f" rendered other frames and the low-resolution reference first | {exact['tiles']:,} | {exact['refused']} | 0 |",
    ]
    for other, counted in honest["render_tolerant"].items():
        lines.append(
            f"| render, tolerant: native against {other}, both ways | {counted['tiles']:,} | {counted['refused']} |"
            f" {counted['escalated']} |"
        )
    lines.append(f"| inference, exact: {items['models']} models | {items['tiles']:,} | {items['refused']} | 0 |")
    for other, counted in honest["infer_tolerant"].items():
        lines.append(
            f"| inference, tolerant: native against {other}, both ways | {counted['tiles']:,} | {counted['refused']} |"
            f" {counted['escalated']} |"
        )
    lines += [
        "",
        "The same cheats before other people's checks (share refused; pHash and dHash at more than 10 of 64 bits, SSIM under"
        " 0.94 on any of three random crops of a tenth of the area, two nodes that must agree; two colluding nodes agree"
        " always):",
        "",
        "| render cheat | kilnet, floor | " + " | ".join(_NAMES.values()) + " | two nodes of one owner |",
        "|---|---|" + "---|" * (len(_NAMES) + 1),
    ]
    for row in found["render"]:
        rival = rivals.get(row["name"])
        if rival is not None:
            figures = " | ".join(_percent(rival[key]) for key in _NAMES)
            lines.append(f"| {row['what']} | {_percent(row['floor']['share'])} | {figures} | 0% |")
    lines += ["", *(f"Not measured: {entry}." for entry in found["skipped"])]
    return "\n".join(lines).rstrip() + "\n"


def calibrations(folder: Path) -> str:
    """The shipped calibrations as a table."""
    lines = [
        "| | classes | computed | honest, largest | closest cheat on every cell | gap | accept, refuse |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted(folder.glob("*-*.json")):
        found = Calibration.model_validate_json(path.read_text(encoding="utf-8"))
        a, b = found.classes
        n, measure = found.n, "share_of_pixels_off" if found.kind == "render" else "fingerprint"
        if found.kind == "render":
            computed = f"{n['pictures']} pictures, {n['honest_draws']:,} honest and {n['cheat_draws']:,} cheating draws"
            shown = "{:.2%}"
        else:
            computed, shown = f"{n['models']} models, {n['items']} items", "{:.1e}"
        largest = found.honest[measure]["max"]
        closest = found.gap * max(largest, 1 / 512 if found.kind == "render" else 1e-7) if found.gap else 0.0
        limits = (
            ", ".join(shown.format(v) for v in (found.limits[0].accept, found.limits[0].reject))
            if found.limits
            else found.refused or "the class has no canary"
        )
        lines.append(
            f"| {found.kind} | {a.version}, {a.how} / {b.version}, {b.how} | {computed}; computed again alone: {a.repeated + b.repeated},"
            f" {a.repeated_differently + b.repeated_differently} differing | {shown.format(largest)} | {shown.format(closest)} | {found.gap:g} | {limits} |"
        )
    return "\n".join(lines) + "\n"


def write_into(page: Path, name: str, text: str) -> None:
    """Replace what lies between the marks of this name. Raises ValueError where they are not there."""
    begin, end = (mark.format(name) for mark in _MARKS)
    before, first, rest = page.read_text(encoding="utf-8").partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise ValueError(f"{page.name} lacks the marks {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")
