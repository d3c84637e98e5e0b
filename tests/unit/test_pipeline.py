"""A pipeline file: what it means, and each way of getting it wrong, named with its step."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from jobs.errors import BadInput
from jobs.pipeline import InferStep, RenderStep, load_pipeline

SAMPLES = Path(__file__).parents[2] / "samples"
GOOD = """
version: 1
cap_usd: 12.50
defaults: {regions: [eu], deadline: 4h}
steps:
  matte: {infer: m.onnx, inputs: {from: beauty}, resize: true, outputs: [alpha]}
  beauty: {render: shot.blend, frames: 1-3, resolution: 320x180, max_price_usd: 9}
  label: {infer: m.onnx, inputs: x.npy, after: [matte], deadline: 30m}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("shot.blend", "m.onnx", "x.npy"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def load(folder: Path, text: str) -> tuple[RenderStep | InferStep, ...]:
    (folder / "pipeline.yaml").write_text(text, encoding="utf-8")
    return load_pipeline(folder / "pipeline.yaml").steps


def test_steps_come_after_what_they_need(folder: Path) -> None:
    """In order, with the defaults where they say nothing themselves, and texts as people write them."""
    (folder / "pipeline.yaml").write_text(GOOD, encoding="utf-8")
    pipeline = load_pipeline(folder / "pipeline.yaml")
    assert pipeline.cap_usd == Decimal("12.50")
    beauty, matte, label = pipeline.steps
    assert isinstance(beauty, RenderStep) and isinstance(matte, InferStep) and isinstance(label, InferStep)
    assert (beauty.spec.frames, beauty.spec.resolution, beauty.spec.deadline_s) == ((1, 2, 3), (320, 180), 4 * 3600)
    assert beauty.spec.regions == ("eu",) and beauty.spec.name == "beauty" and beauty.scene == folder / "shot.blend"
    assert matte.source == "beauty" and matte.inputs is None and matte.after == ("beauty",) and matte.resize
    assert label.inputs == folder / "x.npy" and label.after == ("matte",) and label.fields["deadline_s"] == 1800


def test_bounds_are_named_as_on_the_command_line(folder: Path) -> None:
    """One or several of them; the job spec gets its own fields."""
    bounds = "{region: EU-de, not_region: [us, cn], device: gpu, min_memory: 8, min_vram: 4.5, min_reputation: 0.9}"
    beauty, matte, _ = load(folder, GOOD.replace("{regions: [eu], deadline: 4h}", bounds))
    assert isinstance(beauty, RenderStep) and isinstance(matte, InferStep)
    assert (beauty.spec.regions, beauty.spec.not_regions, beauty.spec.devices) == (("eu-de",), ("us", "cn"), ("GPU",))
    assert (beauty.spec.min_memory_gb, beauty.spec.min_vram_gb, beauty.spec.min_reputation) == (8, 4.5, 0.9)
    assert matte.fields["min_vram_gb"] == 4.5


def test_pictures_go_from_step_to_step(folder: Path) -> None:
    """Rendered frames are matted, the mattes are labelled: a step that infers images feeds another."""
    chain = """
version: 1
cap_usd: 5
steps:
  label: {infer: m.onnx, inputs: {from: matte, output: alpha}, size: 224x224, format: parquet}
  matte: {infer: m.onnx, inputs: {from: beauty}, format: images}
  beauty: {render: shot.blend}
"""
    beauty, matte, label = load(folder, chain)
    assert isinstance(matte, InferStep) and isinstance(label, InferStep) and beauty.name == "beauty"
    assert (matte.format, matte.source, matte.source_output) == ("images", "beauty", None)
    assert (label.format, label.source, label.source_output, label.after) == ("parquet", "matte", "alpha", ("matte",))
    for old, new, told in (
        (", format: images", "", "takes pictures from matte, which makes none; let it say format: images"),
        ("format: parquet", "format: csv", "'npz', 'parquet'"),
        ("{render: shot.blend}", "{render: shot.blend, format: images}", "format belongs to infer"),
        ("{from: beauty}", "{from: beauty, output: alpha}", "names an output of beauty, which renders"),
    ):
        with pytest.raises(BadInput, match=told):
            load(folder, chain.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version: 1", "version: 2", "version"),
        ("{from: beauty}", "{from: lighting}", "step matte needs 'lighting', which is no step"),
        ("frames: 1-3", "frames: 3-1", r"steps\.beauty: frames '3-1'"),
        ("frames: 1-3", "frame: 1-3", r"steps\.beauty\.frame: Extra inputs"),
        ("320x180", "320", "width x height"),
        ("shot.blend", "none.blend", r"none\.blend: no such file; write it relative to pipeline\.yaml"),
        ("{infer: m.onnx, inputs: x.npy", "{infer: m.onnx", "infer needs inputs"),
        ("{render: shot.blend", "{render: shot.blend, infer: m.onnx", "either render"),
        ("after: [matte]", "items: 3", "items: follows from the inputs"),
        ("frames: 1-3", "after: [label]", "in a circle"),
        ("inputs: x.npy, after: [matte]", "inputs: {from: matte}", "takes pictures from matte, which makes none"),
        ("cap_usd: 12.50", "", "matte cannot be priced before beauty is rendered"),
        ("steps:", "steps: [", "not YAML"),
        ("regions: [eu]", "regions: [e u]", r"steps\.beauty\.regions\.0: 'e u' is no region"),
        ("regions: [eu]", "device: toaster", r"steps\.beauty\.devices\.0: Input should be 'CPU', 'GPU'"),
        ("regions: [eu]", "min_reputation: 2", r"steps\.beauty\.min_reputation"),
        ("regions: [eu]", "owner: me", r"steps\.beauty\.owners\.0"),
        ("deadline: 4h", "deadline: soon", r"steps\.beauty: deadline 'soon'"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, old: str, new: str, told: str) -> None:
    """One line with the file, the step and the field."""
    assert old in GOOD
    with pytest.raises(BadInput, match=told) as error:
        load(folder, GOOD.replace(old, new))
    assert "pipeline.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="check the path"):
        load_pipeline(tmp_path / "none.yaml")


def test_the_sample_is_a_pipeline(tmp_path: Path) -> None:
    """samples/pipeline.yaml, once the model is where its first lines say."""
    samples = tmp_path / "samples"
    shutil.copytree(SAMPLES, samples, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "batch").mkdir()
    (tmp_path / "batch" / "model.onnx").write_bytes(b"")
    assert [step.name for step in load_pipeline(samples / "pipeline.yaml").steps] == ["frames", "read"]
