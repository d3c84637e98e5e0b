"""The table as Markdown, between two marks of docs/proof.md, and as lines for a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verification.calibration import Calibration
from verification.policy import TOLERANT_FLOOR

__all__ = ["calibrations", "markdown", "write_into"]

_MARKS = ("<!-- {}: written by `make adversaries` -->", "<!-- {}: end -->")
_CLASSES = {"avx2": "AVX2", "no-avx2": "no AVX2", "sse42": "Cycles' kernel without AVX2"}
_NAMES = {"phash": "pHash", "dhash": "dHash", "ssim": "SSIM", "redundancy": "two nodes"}


def _share(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "not measured"
    low, high = entry["interval"]
    return f"{entry['share']:.1%} ({low:.1%} to {high:.1%}), {entry['tiles']} tiles"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}" if 0 < value < 0.9995 else f"{value:.0%}"


def _columns(rows: list[dict[str, Any]], floor: int) -> list[tuple[str, str, int]]:
    """(class in words, key in a row, cells) of everything that was measured across classes."""
    found = []
    for name, what in _CLASSES.items():
        for key in (f"{name}_floor", name):
            entry = next((row[key] for row in rows if key in row), None)
            if entry is not None:
                found.append((what, key, int(entry.get("probes", floor))))
    return found


def markdown(found: dict[str, Any]) -> str:
    """The whole section."""
    probes, honest = found["probes"], found["honest"]
    exact, items = honest["render_exact"], honest["infer_exact"]
    rivals = {row["name"]: row for row in found["rivals"]}
    columns = _columns(found["render"], probes["floor"])
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
        "Across numerics classes (the tolerant lane), refused by an auditor of another class, by the cells that it redoes. Policy"
        f" draws {TOLERANT_FLOOR} at least; columns of {probes['floor']} are from before, or for comparison:",
        "",
        "| render cheat | " + " | ".join(f"{what}, {cells} cells" for what, _, cells in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    lines += [
        f"| {row['what']} | " + " | ".join(_share(row.get(key)) for _, key, _ in columns) + " |"
        for row in found["render"]
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
        f"| render, exact: every cell of{_pictures(exact)}, in tiles of four{_distinct(exact)}; auditors' runners had rendered other frames and"
        f" the low-resolution reference first | {exact['tiles']:,} | {exact['refused']} | 0 |",
    ]
    for other, counted in honest["render_tolerant"].items():
        lines.append(
            f"| render, tolerant: native against {_CLASSES[other]}, both ways,{_pictures(counted)} in tiles of eight cells{_distinct(counted)}"
            f" | {counted['tiles']:,} |"
            f" {counted['refused']} | {counted['escalated']} |"
        )
    lines += _whole_rows(honest.get("whole"))
    lines.append(
        f"| inference, exact: {items['models']} models{_items(items)} | {items['tiles']:,} | {items['refused']} | 0 |"
    )
    for other, counted in honest["infer_tolerant"].items():
        lines.append(
            f"| inference, tolerant: native against {_CLASSES[other]}, both ways, {counted['models']} models{_items(counted)} |"
            f" {counted['tiles']:,} | {counted['refused']} | {counted['escalated']} |"
        )
    lines += _whole(honest.get("whole"))
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


def _whole_rows(whole: dict[str, Any] | None) -> list[str]:
    """Honest tiles of path guiding."""
    if whole is None:
        return []
    same, across, apart = whole["same"], whole["across"], whole["apart"]
    return [
        f"| render, whole tile, within one class: rectangles of 16x16 pixels of{_pictures(same)}{_distinct(same)}, all with path guiding; the"
        " auditor's runner had another number of threads and had rendered another frame and the low-resolution reference first"
        f"{_not_repeated(same)} | {same['tiles']:,} | {same['refused']} | {same.get('escalated', 0)} |",
        *(
            f"| the same, whole frames of {across['pixels']:,} pixels at least, which is what the planner leases | {alone['tiles']:,} |"
            f" {alone['refused']} | 0 |"
            for alone in (whole.get("frames"),)
            if alone and alone["tiles"]
        ),
        f"| render, whole tile, native against Cycles' kernel without AVX2, by mean and noise (which of the two claims changes no p):"
        f" {across['pictures']} different frames ({across.get('adaptive', 0)} with adaptive sampling) of {across['pixels']:,} pixels at least of {across['scenes']} scenes, {across['differing']}"
        f" of which differ in bits; smallest p {across['smallest_p']:.2g}"
        f" | {across['tiles']:,} | {across['refused']} | {across['escalated']} |",
        f"| the same frames where worker and auditor took different seeds, so that not one grain is shared (harder than any honest"
        f" pair of classes can be); smallest p {apart['smallest_p']:.2g}"
        f" | {apart['tiles']:,} | {apart['refused']} | {apart['escalated']} |",
    ]


def _whole(whole: dict[str, Any] | None) -> list[str]:
    """Cheats before the lane of whole tiles."""
    if whole is None:
        return []

    def said(entry: dict[str, Any]) -> str:
        low, high = entry["interval"]
        return f"{entry['refused']} of {entry['tiles']} ({low:.0%} to {high:.0%})"

    return [
        "",
        f"Path guiding (the lane of whole tiles), frames of {whole['across']['pixels']:,} pixels and 64 samples that the cheat"
        " changes at all, refused on their first tile where that frame is drawn; in parentheses exact 95% intervals, not"
        " corrected:",
        "",
        "| render cheat | within one class, by bits | native against Cycles' kernel without AVX2, by mean and noise |",
        "|---|---|---|",
        *(f"| {name} | {said(lanes['same'])} | {said(lanes['across'])} |" for name, lanes in whole["cheats"].items()),
    ]


def _pictures(counted: dict[str, int]) -> str:
    """How many pictures, where that was counted."""
    if "pictures" not in counted:
        return ""
    adaptive = f" ({counted['adaptive']} with adaptive sampling)" if "adaptive" in counted else ""
    return f" {counted['pictures']} different pictures{adaptive} of {counted['scenes']} scenes"


def _distinct(counted: dict[str, int]) -> str:
    """How many tiles are like no other: two pictures can share an empty corner."""
    return f" ({counted['distinct']:,} of them with bits of their own)" if "distinct" in counted else ""


def _not_repeated(counted: dict[str, int]) -> str:
    return f"; {counted['last_bits']} differ in last bits" if "last_bits" in counted else ""


def _items(counted: dict[str, int]) -> str:
    """How many items, and by how many processes."""
    if "items" not in counted:
        return ""
    return (
        f", {counted['items']:,} items, each in one tile; {counted['redone']:,} drawn and redone in another order by another"
        f" process, one or two threads in each; both restarted {counted['restarts']} times"
    )


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
