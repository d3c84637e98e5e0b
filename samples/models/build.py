"""The sample batch: lines of text, drawn, and a network that reads them.

The model is PP-OCRv3's English-and-Chinese text recogniser (PaddlePaddle authors, Apache-2.0), as the package
rapidocr-onnxruntime 1.2.3 (Apache-2.0, a development dependency) carries it: 10.7 MB, opset 12, 732 nodes. Nothing
of it is kept in this repository.

    python -m samples.models.build OUT_FOLDER [--items N]
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["build_batch", "build_sample", "find_model", "read_text"]

HEIGHT, WIDTH = 48, 320
_WORDS = (
    "amber ash bake birch blaze brick calm cedar clay cone copper crate dawn delta draft ember fern fire "
    "flame flint frost glaze gold grain granite hearth iron ivory kiln lava lime maple marble mason metal "
    "mist oak ochre opal pearl pine plaster quartz raku sand shard silver slip smoke spark steel stone "
    "terra tile umber vapor vase velvet wheel wood"
)


def find_model(name: str = "ch_PP-OCRv3_rec_infer.onnx") -> Path:
    """Where the installed package keeps the model. Raises FileNotFoundError with what to install."""
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    raise FileNotFoundError("the sample model is not installed: pip install --no-deps rapidocr-onnxruntime==1.2.3")


def build_batch(items: int, seed: int = 1) -> tuple[np.ndarray, list[str]]:
    """float32 (items, 3, 48, 320) in -1..1, and the text of each line: two words and a number, dark on light."""
    rng = random.Random(seed)
    batch = np.empty((items, 3, HEIGHT, WIDTH), np.float32)
    labels = []
    words = _WORDS.split()
    for item in range(items):
        label = f"{rng.choice(words)} {rng.choice(words)} {rng.randint(10, 99)}"
        labels.append(label)
        batch[item] = _draw(label, rng)
    return batch, labels


def read_text(probabilities: np.ndarray, model: Path) -> str:
    """What the network read: the likeliest character of each step, repeats and blanks dropped (CTC).

    `probabilities` is float32 (steps, characters) of one item; the characters are stored in the model itself.
    """
    import onnx

    proto = onnx.load(str(model), load_external_data=False)
    stored = next(entry.value for entry in proto.metadata_props if entry.key == "character")
    characters = ["", *stored.splitlines(), " "]
    best = probabilities.argmax(axis=1)
    steps = [int(c) for c, before in zip(best, [-1, *best[:-1]], strict=True) if c != before]
    return "".join(characters[step] for step in steps if 0 < step < len(characters)).strip()


def build_sample(out: Path, items: int = 64) -> dict[str, Path]:
    """Write `model.onnx`, `lines.npz`, `labels.txt` and the lines as pictures into `out`."""
    (out / "lines").mkdir(parents=True, exist_ok=True)
    batch, labels = build_batch(items)
    shutil.copyfile(find_model(), out / "model.onnx")
    np.savez(out / "lines.npz", x=batch)
    (out / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    for number, line in enumerate(batch):
        pixels = np.rint((line.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
        Image.fromarray(pixels).save(out / "lines" / f"{number:05d}.png")
    return {"model": out / "model.onnx", "inputs": out / "lines.npz", "labels": out / "labels.txt"}


def _draw(label: str, rng: random.Random) -> np.ndarray:
    """float32 (3, 48, 320): Pillow's own font, so no machine's fonts matter."""
    paper, ink = rng.randint(215, 255), rng.randint(0, 70)
    picture = Image.new("RGB", (WIDTH, HEIGHT), (paper, paper, paper - 10))
    font = ImageFont.load_default(size=rng.randint(26, 30))
    ImageDraw.Draw(picture).text((rng.randint(4, 12), rng.randint(4, 9)), label, fill=(ink, ink, ink + 10), font=font)
    return (np.asarray(picture, np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description="write the sample model and its batch")
    parser.add_argument("out", type=Path)
    parser.add_argument("--items", type=int, default=64)
    options = parser.parse_args()
    for name, path in build_sample(options.out, options.items).items():
        print(f"{name}: {path}")


if __name__ == "__main__":
    main()
