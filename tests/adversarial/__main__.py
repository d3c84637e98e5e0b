"""`python -m tests.adversarial`: every cheat, rendered; writes the table of docs/proof.md and adversaries.json."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from tests.adversarial.material import AWKWARD, REPO, gather
from tests.adversarial.pictures import draw
from tests.adversarial.report import calibrations, markdown, write_into
from tests.adversarial.table import build, count_honest
from verification.limits import ADVERSARIES, SHIPPED


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.adversarial")
    parser.add_argument("--draws", type=int, default=1000, help="trials for each cheat and lane")
    parser.add_argument("--honest", type=int, default=14, help="more honest pictures of each scene")
    parser.add_argument("--only", default="", help="names of scenes, with commas; default: all")
    parser.add_argument("--cached", action="store_true", help="of emulated classes only what was rendered before")
    parser.add_argument(
        "--honest-only", action="store_true", help="count honest tiles anew and keep the last draws of cheats"
    )
    parser.add_argument("--anew", action="store_true", help="forget the rows of a run that was cut short")
    parser.add_argument("--no-write", action="store_true", help="print the table and leave the files alone")
    asked = parser.parse_args()
    folder = Path(os.environ.get("KILNET_SCENES", REPO.parent / "shared" / "scenes"))

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    material = gather(
        [folder] if folder.is_dir() else [],
        only=tuple(name for name in asked.only.split(",") if name),
        honest=asked.honest,
        render=not asked.cached,
        say=say,
    )
    kept = AWKWARD.parent / "rows.json"
    if asked.anew:
        kept.unlink(missing_ok=True)
    if asked.honest_only:
        found = json.loads((SHIPPED / ADVERSARIES).read_text(encoding="utf-8")) | {"honest": count_honest(material)}
    else:
        found = build(material, draws=asked.draws, kept=kept, say=say)
    text = markdown(found)
    print(text)
    if not asked.no_write:
        (SHIPPED / ADVERSARIES).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        page = REPO / "docs" / "proof.md"
        write_into(page, "adversaries", text)
        write_into(page, "calibrations", calibrations(SHIPPED))
        draw(REPO / "docs" / "images")
        kept.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
