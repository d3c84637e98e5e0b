"""Preview first: some of it is rendered, the job waits for a word, and a no costs what was rendered."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.client import Client
from jobs.looks import FrameLook
from tests.e2e.conftest import SAMPLES, Kilnet, delivered, resaved
from tests.support.pictures import channels, worst_relative

pytestmark = [pytest.mark.stack, pytest.mark.blender, pytest.mark.slow]


def _kiln(answer: dict[str, Any]) -> int:
    return int(answer["burned"]) + int(answer["fee"])


def test_every_second_frame_first_and_a_no(kilnet: Kilnet, tmp_path: Path) -> None:
    """Of four frames the first and the third are rendered and delivered, then the job waits. Rejected, it costs what
    its receipts add up to, no more than the quote said a no would, and the rest is refunded."""
    blend = SAMPLES / "animation.blend"
    options = ("--frames", "1-4", "--resolution", "64x48", "--samples", "4", "--preview-every", "2")
    quote = kilnet.json("quote", blend, *options)["quote"]
    assert 0 < quote["preview_tiles"] < quote["tiles"] and 0 < float(quote["preview_usd"]) < float(quote["price_usd"])
    answer = kilnet.json("render", blend, *options, "--out", tmp_path / "first")
    assert answer["state"] == "review" and answer["tiles_passed"] == quote["preview_tiles"]
    assert sorted(one["frame"] for one in answer["outputs"] if one["kind"] == "image") == [1, 3]
    assert all(path.is_file() for path in delivered(answer, "image"))
    kilnet.json("reject", answer["job"])
    ended = kilnet.run("watch", answer["job"], "--json")
    assert ended.returncode == 5 and "the preview was rejected" in ended.stderr + ended.stdout
    report = kilnet.json("job", answer["job"])
    assert report["state"] == "cancelled" and report["error_code"] == "preview_rejected"
    assert report["tiles_passed"] == quote["preview_tiles"] and int(report["refund"]) > 0
    with Client(kilnet.stack.gateway_url, str(kilnet.stack.key_file)) as client:
        quoted, receipts = client.job(answer["job"]).quote, client.receipts(answer["job"])
    assert quoted is not None and len(receipts) == quote["preview_tiles"]
    assert _kiln(report) == sum(receipt.price for receipt in receipts)
    assert 0 < float(report["price_usd"]) <= float(quoted.preview_usd or 0)


def test_a_still_with_few_samples_first_and_a_yes(kilnet: Kilnet, plain: Callable[..., Any], tmp_path: Path) -> None:
    """The preview is the whole picture with 1/16 of its samples. Approved, the rest is rendered, and the picture is
    what plain Blender would have given, to a ten-thousandth."""
    blend, size = SAMPLES / "still.blend", (96, 64)
    answer = kilnet.json(
        "render", blend, "--resolution", f"{size[0]}x{size[1]}", "--samples", "32", "--no-denoise", "--preview",
        "--out", tmp_path / "look",
    )  # fmt: skip
    assert answer["state"] == "review" and answer["tiles_passed"] < answer["tiles"]
    (look,) = delivered(answer, "preview")
    with Image.open(look) as picture:
        assert picture.size == size and np.asarray(picture)[..., 3].min() == 255
        noisy = np.asarray(picture.convert("RGB"), np.float32)
    assert kilnet.json("approve", answer["job"])["state"] == "running"
    done = kilnet.json("watch", answer["job"], "--out", tmp_path / "ours")
    assert done["state"] == "done" and done["tiles_passed"] == done["tiles"] and done["rejections"] == []
    plain(blend, tmp_path / "plain", resolution=size, samples=32, denoise=False, final=False, frames=None)
    (ours,), (theirs,) = delivered(done, "exr"), (tmp_path / "plain").glob("*.exr")
    assert worst_relative(channels(ours), channels(theirs)) <= 1e-4
    with Image.open(delivered(done, "image")[0]) as picture:
        clean = np.asarray(picture.convert("RGB"), np.float32)
    # The look was of the same picture, and noisier: neighbouring pixels differ more in it.
    assert np.corrcoef(noisy.ravel(), clean.ravel())[0, 1] > 0.7
    assert np.abs(np.diff(noisy, axis=1)).mean() > 1.2 * np.abs(np.diff(clean, axis=1)).mean()


def test_a_still_with_adaptive_sampling_is_seen_by_itself_first(
    kilnet: Kilnet, plain: Callable[..., Any], tmp_path: Path
) -> None:
    """Its samples do not merge: the preview is rendered with a quarter of them and becomes no part of the picture,
    which is plain Blender's to the bit. Its receipts still prove the job."""
    blend = resaved(SAMPLES / "still.blend", tmp_path / "adaptive.blend", {"cycles.use_adaptive_sampling": True})
    options = ("--resolution", "96x64", "--samples", "32", "--no-denoise", "--preview-every", "4")
    answer = kilnet.json("render", blend, *options, "--out", tmp_path / "look")
    assert answer["state"] == "review" and 0 < answer["tiles_passed"] < answer["tiles"]
    (look,) = delivered(answer, "preview")
    with Image.open(look) as picture:
        assert picture.size == (96, 64) and np.asarray(picture)[..., 3].min() == 255
    assert kilnet.json("approve", answer["job"])["state"] == "running"
    done = kilnet.json("watch", answer["job"], "--out", tmp_path / "ours")
    assert done["state"] == "done" and done["tiles_passed"] == done["tiles"] and done["rejections"] == []
    plain(blend, tmp_path / "plain", resolution=(96, 64), samples=32, denoise=False, final=False, frames=None)
    (ours,), (theirs,) = delivered(done, "exr"), (tmp_path / "plain").glob("*.exr")
    assert worst_relative(channels(ours), channels(theirs)) == 0
    audit = kilnet.json("audit", answer["job"])
    assert audit["ok"] and audit["failed"] == []


def test_a_still_that_cannot_be_previewed_says_what_to_do(kilnet: Kilnet, tmp_path: Path) -> None:
    """One sample is not to be seen with fewer: exit code 2, one line, nothing is charged."""
    options = ("--resolution", "48x32", "--samples", "1", "--preview")
    done = kilnet.run("render", SAMPLES / "still.blend", *options, "--out", tmp_path / "x")
    assert done.returncode == 2 and "order a small one first" in done.stderr, done.stderr
    assert not (tmp_path / "x").exists()


def test_a_progressive_still_is_seen_whole_early_and_gets_cleaner(kilnet: Kilnet, tmp_path: Path) -> None:
    """Looked at while its tiles pass, all of it is there with an eighth of its samples before any of it is done; from
    then on the noise that is seen falls, and `kilnet watch` says so."""
    options = ("--resolution", "192x128", "--samples", "64", "--tiles", "3", "--no-denoise", "--progressive")
    command = [sys.executable, "-m", "coordinator.cli", "render", str(SAMPLES / "still.blend"), *options]
    environment = os.environ | {"KILNET_GATEWAY": kilnet.stack.gateway_url, "KILNET_KEY": str(kilnet.stack.key_file)}
    process = subprocess.Popen(
        [*command, "--name", "progressive", "--out", str(tmp_path)], env=environment, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    seen: list[FrameLook] = []
    with Client(kilnet.stack.gateway_url, str(kilnet.stack.key_file)) as client:
        while process.poll() is None:
            job = next((one for one in client.jobs() if one.name == "progressive" and one.tiles_passed), None)
            if job is not None:
                look = client.frame_look(job.id, 1)
                seen += [look] if not seen or look != seen[-1] else []
            time.sleep(0.1)
    told = process.communicate()[1]
    assert process.returncode == 0, told
    whole = [look for look in seen if look.covered == 1 and look.noise is not None]
    assert whole and whole[0].samples < 32 and whole[-1].samples == 64, seen
    noise = [look.noise or 0.0 for look in whole]
    assert noise[-1] < 0.75 * noise[0] and all(b < a * 1.05 for a, b in itertools.pairwise(noise)), noise
    assert "noise" in told and "samples" in told, told
