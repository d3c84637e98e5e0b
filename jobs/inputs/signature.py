"""What a model asks for, read from its file. The check that counts is made at admission, in a sandbox."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from jobs.errors import BadInput

__all__ = ["ModelFiles", "ModelInput", "read_model"]

_REMEDIES = {
    "model_unreadable": "; export the model again",
    "model_invalid": "; export the model again",
    "model_external_data": "; save the model with its weights in its own folder",
}


@dataclass(frozen=True)
class ModelInput:
    """One input; the first axis is the item and is not part of `shape`. A free axis is None."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.dtype.name} items of {['?' if side is None else side for side in self.shape]}"


@dataclass(frozen=True)
class ModelFiles:
    """A model and the files beside it that hold its weights."""

    path: Path
    external: tuple[str, ...]
    """Relative to the model's folder."""
    inputs: tuple[ModelInput, ...] | None
    """None where the onnx package is not installed: then only admission can tell."""
    outputs: tuple[str, ...] | None = None
    """Names; None as for the inputs."""


def read_model(path: Path) -> ModelFiles:
    """The model's inputs and files. Raises BadInput where there is no such file, it is no ONNX model, or it asks for
    files outside its folder or that are not there (jobs.model_check.check_model says what else)."""
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name the .onnx file in it")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise BadInput(f"{path}: is empty; export the model again")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if importlib.util.find_spec("onnx") is None:
        return ModelFiles(path, (), None)
    return _read(path)


def _read(path: Path) -> ModelFiles:
    import onnx

    from jobs.model_check import ModelRefused, check_model
    from jobs.model_graph import every_tensor

    try:
        model = check_model(path).model
    except ModelRefused as error:
        where = "" if str(error).startswith(path.name) else f"{path}: "
        raise BadInput(f"{where}{error}{_REMEDIES.get(error.code, '')}", code=error.code) from error
    external: set[str] = set()
    for tensor in every_tensor(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            external |= {
                PurePosixPath(entry.value).as_posix() for entry in tensor.external_data if entry.key == "location"
            }
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = []
    for value in model.graph.input:
        if value.name in constants:
            continue
        if not value.type.HasField("tensor_type"):
            raise BadInput(f"{path}: input {value.name!r} is no tensor; only models that take numbers can be run")
        kind = value.type.tensor_type
        try:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        except KeyError:
            raise BadInput(f"{path}: input {value.name!r} has no known type; export the model again") from None
        dims = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim)
        if not dims:
            raise BadInput(f"{path}: input {value.name!r} has no axis for items; make it a constant of the model")
        inputs.append(ModelInput(value.name, np.dtype(dtype), dims[1:]))
    if not inputs:
        raise BadInput(f"{path}: the model has no inputs, so there is nothing to send through it")
    outputs = tuple(value.name for value in model.graph.output)
    return ModelFiles(path, tuple(sorted(external)), tuple(inputs), outputs)
