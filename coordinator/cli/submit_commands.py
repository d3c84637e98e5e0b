"""`kilnet render`, `kilnet infer`, `kilnet quote`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.intake import USUAL_PREVIEW
from coordinator.cli.options import (
    Deadline,
    Devices,
    Gateway,
    Json,
    Key,
    MaxPrice,
    MinMemory,
    MinReputation,
    MinVram,
    Name,
    Nodes,
    NotRegions,
    Out,
    Owners,
    Regions,
    Unsandboxed,
    Yes,
    parse_constraints,
)

if TYPE_CHECKING:
    from jobs.submission import Submission

__all__ = ["register"]

Frames = Annotated[str | None, typer.Option(help="1, 1-10, 1-10:2 or 1,5,9. [default: the scene's own]")]
Samples = Annotated[int | None, typer.Option(help="Samples per pixel.")]
Resolution = Annotated[str | None, typer.Option(metavar="WxH", help="Pixels, such as 1920x1080.")]
Engine = Annotated[str | None, typer.Option(help="CYCLES or BLENDER_EEVEE.")]
Camera = Annotated[str | None, typer.Option(help="Name of the camera.")]
Scene = Annotated[str | None, typer.Option(help="Name of the scene in the file.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the noise.")]
Denoise = Annotated[bool | None, typer.Option("--denoise/--no-denoise", help="[default: as the scene says]")]
Tiles = Annotated[int | None, typer.Option(help="Cut each frame into about so many rectangles.")]
SampleRanges = Annotated[int | None, typer.Option(help="Render so many ranges of samples apart and merge them.")]
Format = Annotated[
    str | None,
    typer.Option("--format", "--output-format", help="PNG, JPEG, OPEN_EXR, OPEN_EXR_MULTILAYER, TIFF or WEBP."),
]
Preview = Annotated[
    bool,
    typer.Option("--preview", help="Every 16th frame (of a still 1/16 of the samples) first; then wait for your word."),
]
PreviewEvery = Annotated[
    int | None, typer.Option("--preview-every", metavar="N", min=2, help="As --preview, with every Nth frame or 1/N.")
]
Progressive = Annotated[
    bool, typer.Option("--progressive", help="Of a still: few samples of all of it first, then more.")
]
Video = Annotated[bool, typer.Option("--video", help="A video of the frames too: video.mp4 (H.264) beside them.")]
Tap = Annotated[str | None, typer.Option(help="Activation to fingerprint. [default: chosen at admission]")]
OnlyOutput = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Deliver this output of the model; may be given again. [default: all]"),
]
Size = Annotated[
    str | None, typer.Option(metavar="WxH", help="Scale images to this, where the model leaves the size open.")
]
Resize = Annotated[bool, typer.Option("--resize", help="Scale images to what the model takes.")]
AsFormat = Annotated[
    str,
    typer.Option("--format", help="npz, parquet, arrow, feather or images (a PNG for each item)."),
]
SceneFile = Annotated[Path, typer.Argument(metavar="SCENE.blend")]
Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx")]
Inputs = Annotated[
    Path, typer.Argument(metavar="INPUTS", help=".npz, .npy, .parquet, .arrow, .feather or a folder of images.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands that submit jobs."""
    app.command("render")(_render)
    app.command("infer")(_infer)
    app.command("quote")(_quote)


def _render(
    scene_file: SceneFile,
    frames: Frames = None,
    samples: Samples = None,
    resolution: Resolution = None,
    engine: Engine = None,
    camera: Camera = None,
    scene: Scene = None,
    seed: Seed = None,
    denoise: Denoise = None,
    tiles: Tiles = None,
    sample_ranges: SampleRanges = None,
    output_format: Format = None,
    preview: Preview = False,
    preview_every: PreviewEvery = None,
    progressive: Progressive = False,
    video: Video = False,
    max_price: MaxPrice = None,
    deadline: Deadline = None,
    region: Regions = None,
    not_region: NotRegions = None,
    device: Devices = None,
    min_memory: MinMemory = None,
    min_vram: MinVram = None,
    min_reputation: MinReputation = None,
    owner: Owners = None,
    out: Out = None,
    name: Name = "",
    yes: Yes = False,
    nodes: Nodes = 1,
    unsandboxed: Unsandboxed = False,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Render a scene: prints the price, renders it on the network, proves it, and brings the frames."""
    from coordinator.cli.connection import Access
    from coordinator.cli.display import make_display
    from coordinator.cli.intake import Common, render_spec, render_submission
    from coordinator.cli.submit import Terms, submit

    options = {
        "frames": frames, "samples": samples, "resolution": resolution, "engine": engine, "camera": camera,
        "scene": scene, "seed": seed, "denoise": denoise, "tiles": tiles, "sample_ranges": sample_ranges,
        "output_format": output_format, "preview_every": preview_every or (USUAL_PREVIEW if preview else None),
        "progressive": progressive,
    }  # fmt: skip
    constraints = parse_constraints(
        regions=region, not_regions=not_region, devices=device, min_memory=min_memory, min_vram=min_vram,
        min_reputation=min_reputation, owners=owner,
    )  # fmt: skip
    spec = render_spec(scene_file, Common(name, max_price, deadline, constraints), options)
    display = make_display()
    submission = render_submission(scene_file, spec, display)
    folder = out or Path(f"{scene_file.stem}-frames")
    terms = Terms(out=folder, yes=yes, as_json=as_json, nodes=nodes, video=video)
    submit(submission, Access(gateway, key, unsandboxed=unsandboxed), terms, display)


def _infer(
    model: Model,
    inputs: Inputs,
    tap: Tap = None,
    only_output: OnlyOutput = None,
    resize: Resize = False,
    size: Size = None,
    as_format: AsFormat = "npz",
    max_price: MaxPrice = None,
    deadline: Deadline = None,
    region: Regions = None,
    not_region: NotRegions = None,
    device: Devices = None,
    min_memory: MinMemory = None,
    min_vram: MinVram = None,
    min_reputation: MinReputation = None,
    owner: Owners = None,
    out: Out = None,
    name: Name = "",
    yes: Yes = False,
    nodes: Nodes = 1,
    unsandboxed: Unsandboxed = False,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Run a batch through a model: prints the price, runs it on the network, proves it, and brings the predictions."""
    from coordinator.cli.connection import Access
    from coordinator.cli.display import make_display
    from coordinator.cli.intake import Common, infer_submission
    from coordinator.cli.submit import Terms, submit
    from jobs.errors import BadInput
    from jobs.outputs import FORMATS
    from jobs.outputs import Format as PredictionFormat

    if as_format not in FORMATS:
        raise BadInput(f"--format {as_format!r}: write one of {', '.join(FORMATS)}")
    wanted = PredictionFormat(as_format)
    display = make_display()
    constraints = parse_constraints(
        regions=region, not_regions=not_region, devices=device, min_memory=min_memory, min_vram=min_vram,
        min_reputation=min_reputation, owners=owner,
    )  # fmt: skip
    common = Common(name, max_price, deadline, constraints)
    submission = infer_submission(
        model, inputs, common, tap=tap, outputs=only_output or (), size=size, resize=resize, display=display
    )
    folder = out or Path(f"{model.stem}-predictions")
    terms = Terms(out=folder, yes=yes, as_json=as_json, nodes=nodes, format=wanted)
    submit(submission, Access(gateway, key, unsandboxed=unsandboxed), terms, display)


def _quote(
    file: Annotated[Path, typer.Argument(metavar="SCENE.blend|MODEL.onnx")],
    inputs: Annotated[
        Path | None, typer.Argument(metavar="[INPUTS]", help="With a model: what goes through it.")
    ] = None,
    frames: Frames = None,
    samples: Samples = None,
    resolution: Resolution = None,
    engine: Engine = None,
    camera: Camera = None,
    scene: Scene = None,
    seed: Seed = None,
    denoise: Denoise = None,
    tiles: Tiles = None,
    sample_ranges: SampleRanges = None,
    output_format: Format = None,
    preview: Preview = False,
    preview_every: PreviewEvery = None,
    progressive: Progressive = False,
    tap: Tap = None,
    only_output: OnlyOutput = None,
    resize: Resize = False,
    size: Size = None,
    max_price: MaxPrice = None,
    deadline: Deadline = None,
    region: Regions = None,
    not_region: NotRegions = None,
    device: Devices = None,
    min_memory: MinMemory = None,
    min_vram: MinVram = None,
    min_reputation: MinReputation = None,
    owner: Owners = None,
    name: Name = "",
    nodes: Nodes = 1,
    unsandboxed: Unsandboxed = False,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """What a render or a batch would cost and how it would be proven; nothing is charged."""
    from coordinator.cli.connection import Access
    from coordinator.cli.display import make_display
    from coordinator.cli.intake import Common, infer_submission, render_spec, render_submission
    from coordinator.cli.submit import quote_only
    from jobs.errors import BadInput

    display = make_display()
    constraints = parse_constraints(
        regions=region, not_regions=not_region, devices=device, min_memory=min_memory, min_vram=min_vram,
        min_reputation=min_reputation, owners=owner,
    )  # fmt: skip
    common = Common(name, max_price, deadline, constraints)
    options: dict[str, Any] = {
        "frames": frames, "samples": samples, "resolution": resolution, "engine": engine, "camera": camera,
        "scene": scene, "seed": seed, "denoise": denoise, "tiles": tiles, "sample_ranges": sample_ranges,
        "output_format": output_format, "preview_every": preview_every or (USUAL_PREVIEW if preview else None),
        "progressive": progressive,
    }  # fmt: skip
    submission: AbstractContextManager[Submission]
    if file.suffix.lower() == ".onnx":
        if inputs is None:
            raise BadInput(f"{file}: a model needs its inputs too: `kilnet quote MODEL.onnx INPUTS`")
        submission = infer_submission(
            file, inputs, common, tap=tap, outputs=only_output or (), size=size, resize=resize, display=display
        )
    elif inputs is not None:
        raise BadInput(f"{inputs}: only a model (.onnx) takes inputs; leave it out")
    else:
        submission = render_submission(file, render_spec(file, common, options), display)
    quote_only(submission, Access(gateway, key, unsandboxed=unsandboxed), display, as_json=as_json, nodes=nodes)
