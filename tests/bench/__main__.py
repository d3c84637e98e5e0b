"""`python -m tests.bench [--seconds 75] [--only PART] [--batches 1] [--json FILE]`

Starts a local stack with one node that has all cores and prints the ratios; absolute times only say what they are
ratios of.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from coordinator.stack import temporary_stack
from jobs.client import Client
from tests.bench.eta import SAMPLES, measure_eta
from tests.bench.farm import LARGE, SMALL, measure_farm
from tests.bench.infer import classifier, encoder, measure_infer, reader
from tests.bench.price import estimate_ratios
from tests.bench.proofs import commitment_megabytes_per_second
from tests.bench.render import measure_render

SCENES = Path(__file__).parents[2] / "samples" / "scenes"
SCENE = SCENES / "still.blend"
PRICED = [SCENES / "still.blend", SCENES / "animation.blend"]

PARTS = ("render", "infer", "proofs", "price", "farm", "eta")
LOADS = ("encoder", "classifier", "reader")


def show(found: dict[str, dict[str, Any]]) -> None:
    rows = [
        ("render", "wall_ratio", "wall time against plain bpy, at most 1.10"),
        ("render", "audit_share", "audit compute against render compute, a new node, at most 0.06"),
        ("render", "good_audit_share", "the same, a node in good standing, at most 0.02"),
        ("encoder", "throughput_ratio", "sentence encoder: throughput against bare session.run, at least 0.90"),
        ("encoder", "again_ratio", "sentence encoder: the same for the second batch of a model"),
        ("encoder", "work_ratio", "sentence encoder: the node's own time alone against bare session.run"),
        ("encoder", "audit_share", "sentence encoder: audit compute against inference compute, at most 0.03"),
        ("classifier", "throughput_ratio", "image classifier, 0.6 MB in an item: throughput"),
        ("classifier", "again_ratio", "image classifier: the second batch"),
        ("classifier", "work_ratio", "image classifier: the node's own time alone"),
        ("classifier", "audit_share", "image classifier: audit compute"),
        ("reader", "throughput_ratio", "recogniser, 1 MB out an item: throughput"),
        ("reader", "again_ratio", "recogniser: the second batch"),
        ("reader", "work_ratio", "recogniser: the node's own time alone"),
        ("proofs", "megabytes_per_second", "hashing a commitment, MB/s on one core"),
    ]
    for part, name, words in rows:
        if name in found.get(part, {}):
            print(f"{found[part][name]:10.3f}  {words}")
    for sample in SAMPLES if "eta" in found else ():
        got = found["eta"][sample]
        words = f"{sample}, {got['seconds']:.0f} s: error of the time left at half time, at most 0.25"
        print(f"{got['error_at_0.5']:10.3f}  {words}")
    for call, seconds in found.get("farm", {}).items():
        words = f"{seconds['large'] * 1000:.0f} ms of one core in a farm of {LARGE.nodes:,} nodes"
        print(f"{seconds['growth']:10.3f}  {call}: {words} against one of {SMALL.nodes}")
    for scene, ratio in found.get("price", {}).items():
        print(f"{ratio:10.3f}  {scene}: seconds predicted at admission against measured")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=75, help="length of the plain render and of the bare loop")
    parser.add_argument("--only", choices=(*PARTS, *LOADS))
    parser.add_argument("--batches", type=int, choices=(1, 2), default=2, help="of a model: its second is known")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    options = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    if options.only in (None, "proofs"):
        found["proofs"] = {"megabytes_per_second": commitment_megabytes_per_second()}
    if options.only in (None, "price"):
        found["price"] = dict(estimate_ratios(PRICED))
    if options.only in (None, "farm"):
        small, large = measure_farm(SMALL), measure_farm(LARGE)
        found["farm"] = {call: {"large": large[call], "growth": large[call] / small[call]} for call in small}
    if options.only in (None, "eta"):
        with (
            tempfile.TemporaryDirectory(prefix="kilnet-bench-") as temporary,
            temporary_stack(nodes=2, data=Path(temporary) / "data") as stack,
            Client(stack.gateway_url, str(stack.key_file)) as client,
        ):
            found["eta"] = measure_eta(client, Path(temporary))
    if options.only not in ("proofs", "price", "farm", "eta"):
        with tempfile.TemporaryDirectory(prefix="kilnet-bench-") as temporary:
            folder = Path(temporary)
            with temporary_stack(nodes=1, data=folder / "data") as stack:
                os.environ |= {"KILNET_GATEWAY": stack.gateway_url, "KILNET_KEY": str(stack.key_file)}
                if options.only in (None, "render"):
                    found["render"] = measure_render(SCENE, folder / "render", folder / "data", seconds=options.seconds)
                if options.only in (None, "infer", *LOADS):
                    # The last one's outputs are 150 MB a second: a shorter run shows as much.
                    shares = {
                        "encoder": (encoder(), 1.0),
                        "classifier": (classifier(), 0.5),
                        "reader": (reader(), 0.25),
                    }
                    for name, (load, share) in shares.items():
                        if options.only not in (None, "infer", name):
                            continue
                        if load is None:
                            sys.exit(f"{name}: its model is not installed; `make bench` installs it")
                        found[name] = measure_infer(
                            load,
                            folder / name,
                            folder / "data",
                            seconds=options.seconds * share,
                            batches=options.batches,
                        )
    print(json.dumps(found, indent=1))
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
