"""`python -m tests.adversarial`: every cheat, rendered; writes the table of docs/proof.md and adversaries.json."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from tests.adversarial.honest import count_honest
from tests.adversarial.honest_whole import count_whole
from tests.adversarial.material import AWKWARD, REPO, gather
from tests.adversarial.pictures import draw
from tests.adversarial.report import calibrations, markdown, write_into
from tests.adversarial.table import build, draw_across
from verification.limits import ADVERSARIES, SHIPPED


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.adversarial")
    parser.add_argument("--draws", type=int, default=1000, help="trials for each cheat and lane; 0: keep the last")
    parser.add_argument("--honest", type=int, default=14, help="more honest pictures of each scene")
    parser.add_argument(
        "--honest-of", default="", help="NAME=COUNT, with commas: more of scenes that render fast, fewer of slow ones"
    )
    parser.add_argument("--only", default="", help="names of scenes, with commas; default: all")
    parser.add_argument("--cached", action="store_true", help="of emulated classes only what was rendered before")
    parser.add_argument(
        "--honest-only", action="store_true", help="count honest tiles anew and keep the last draws of cheats"
    )
    parser.add_argument(
        "--across-only",
        action="store_true",
        help="draw renders across classes anew, honest and cheating, where there are any; all else stays",
    )
    parser.add_argument(
        "--items-only", action="store_true", help="count honest tiles of inference anew; all else stays"
    )
    parser.add_argument(
        "--whole-only", action="store_true", help="count the lane of whole tiles (path guiding) anew; all else stays"
    )
    parser.add_argument(
        "--kept-only", action="store_true", help="render nothing, and leave out what was not rendered before"
    )
    parser.add_argument("--slow-items", action="store_true", help="count them across emulated classes too")
    parser.add_argument("--anew", action="store_true", help="forget the rows of a run that was cut short")
    parser.add_argument("--no-write", action="store_true", help="print the table and leave the files alone")
    asked = parser.parse_args()
    folder = Path(os.environ.get("KILNET_SCENES", REPO.parent / "shared" / "scenes"))
    folders = [folder] if folder.is_dir() else []

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    part = asked.honest_only or asked.across_only or asked.items_only or asked.whole_only
    material = gather(
        folders,
        only=("no scene",)
        if asked.items_only or asked.whole_only
        else tuple(name for name in asked.only.split(",") if name),
        infer=not part,
        honest=asked.honest,
        honest_of={
            name: int(count) for name, _, count in (one.partition("=") for one in asked.honest_of.split(",") if one)
        },
        render=not asked.cached,
        audit=not asked.across_only,
        cheat=not asked.honest_only,
        kept=asked.kept_only,
        say=say,
    )
    kept = AWKWARD.parent / "rows.json"
    if asked.anew:
        kept.unlink(missing_ok=True)
    if part:
        found = json.loads((SHIPPED / ADVERSARIES).read_text(encoding="utf-8"))
        if asked.across_only and asked.draws:
            draw_across(found["render"], material, asked.draws, say)
        items = not (asked.across_only or asked.whole_only or asked.kept_only)
        counted = count_honest(material, items=items, slow_items=asked.slow_items, say=say)
        before = found["honest"]
        for lane in ("render_tolerant", "infer_tolerant"):
            counted[lane] = before.get(lane, {}) | counted[lane]
        found["honest"] = before | counted
    else:
        found = build(material, draws=asked.draws, kept=kept, say=say)
    limits = material.limits.get(("render", "sse42"))
    if limits is not None and (asked.whole_only or not part):
        found["honest"]["whole"] = count_whole(folders, limits, kept=asked.kept_only, say=say)
    text = markdown(found)
    print(text)
    if not asked.no_write:
        (SHIPPED / ADVERSARIES).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        page = REPO / "docs" / "proof.md"
        write_into(page, "adversaries", text)
        write_into(page, "calibrations", calibrations(SHIPPED))
        if not part:
            draw(REPO / "docs" / "images")
            kept.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
