"""ONNX Runtime sessions at the canonical profile, checked for what they really run on, and kept warm."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from .streams import anonymous_bytes, streams_of, streams_within
from .wire import RequestError

__all__ = ["OPTIMIZATION", "Sessions", "bounded", "instruction_set"]

OPTIMIZATION = "all"
_KEPT = 2

# TF32 rounds like half precision: as far from fp32 as an fp16 cheat (docs/proof.md). Exhaustive convolution search
# picks by timing, so two runs may pick two algorithms.
_PROVIDER_OPTIONS: dict[str, dict[str, str]] = {
    "CUDAExecutionProvider": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "do_copy_in_default_stream": "1"},
    # Tuning picks kernels by timing.
    "MIGraphXExecutionProvider": {"migraphx_exhaustive_tune": "0"},
}

ort.set_default_logger_severity(3)


@dataclass
class Opened:
    """A session, and how many micro-batches it may be given at a time."""

    session: Any
    streams: int
    tried: bool = False
    """Whether `streams` is known to fit the memory."""


class Sessions:
    """Makes sessions for one device and keeps the last two. `memory` is what all of them may take, in bytes; 0: any.

    On a CPU several micro-batches are computed at a time, each with its share of the threads. A GPU computes one at a
    time, and the next is read or the last one packed meanwhile."""

    def __init__(self, *, provider: str, device: int, threads: int, spin: bool = False, memory: int = 0) -> None:
        self.provider, self.device, self.threads, self.spin, self.memory = provider, device, threads, spin, memory
        self.streams = streams_of(threads) if provider == "CPUExecutionProvider" else 1
        """How many micro-batches are computed at a time, where the memory allows it."""
        self._kept: OrderedDict[tuple[str, int, int], Opened] = OrderedDict()

    def open(self, model: Path) -> Opened:
        """The session for the file `model`, made now unless the very same file was opened before."""
        key = self._key(model)
        opened = self._kept.pop(key, None) or Opened(self.make(str(model)), self.streams)
        return self._keep(key, opened)

    def fit(self, model: Path, opened: Opened, *, growth: int) -> None:
        """As many streams as the memory allows, now that a first micro-batch is known to need `growth` bytes."""
        streams = streams_within(opened.streams, used=anonymous_bytes(), growth=growth, limit=self.memory)
        if streams != opened.streams:
            opened.session = None  # before there is a second one
            opened.session, opened.streams = self.make(str(model), streams=streams), streams
        opened.tried = True

    def _keep(self, key: tuple[str, int, int], opened: Opened) -> Opened:
        self._kept[key] = opened
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return opened

    @staticmethod
    def _key(model: Path) -> tuple[str, int, int]:
        found = model.stat()
        return str(model), found.st_mtime_ns, found.st_size

    def make(
        self,
        model: str | bytes,
        *,
        folder: Path | None = None,
        weights: Mapping[str, np.ndarray] | None = None,
        level: Any = None,
        streams: int = 0,
    ) -> ort.InferenceSession:
        """A new session from a path, or from a model's bytes with its external data in `folder` or given as `weights`;
        at another `level` of optimisation than the contract's only to see what that changes. It is to compute for so
        many `streams` at a time; 0: as many as this device may have.

        Raises RequestError `model_failed` (the runtime refuses the model), `provider_unavailable` (the device does not
        run it, whether loudly or by silently handing it to the CPU), `out_of_memory`.
        """
        options = self._options(streams or self.streams)
        if level is not None:
            options.graph_optimization_level = level
        if folder is not None:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
        held = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in (weights or {}).items()}
        if held:
            options.add_external_initializers(list(held), list(held.values()))
        providers = [(self.provider, self._provider_options())]
        try:
            session = ort.InferenceSession(model, options, providers=providers)
        except MemoryError:
            raise
        except Exception as error:
            raise translate(error) from error
        if session.get_providers()[0] != self.provider:
            raise RequestError(
                "provider_unavailable",
                f"{self.provider} does not work here; the model would have run on {session.get_providers()[0]}",
            )
        return session

    def _options(self, streams: int) -> Any:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = max(1, self.threads // streams)
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        # Spinning changes no bit. Measured on 2 cores: 25% faster on an idle machine, half as fast on a busy one.
        for pool in ("intra_op", "inter_op"):
            options.add_session_config_entry(f"session.{pool}.allow_spinning", str(int(self.spin)))
        return options

    def _provider_options(self) -> dict[str, str]:
        options = dict(_PROVIDER_OPTIONS.get(self.provider, {}))
        if self.provider in _PROVIDER_OPTIONS:
            options["device_id"] = str(self.device)
        return options


@contextmanager
def bounded(seconds: float | None) -> Iterator[Any]:
    """Run options that end the run after `seconds`; the runtime looks between two operators."""
    options = ort.RunOptions()
    if seconds is None:
        yield options
        return
    timer = threading.Timer(seconds, lambda: setattr(options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield options
    except RequestError as error:
        if options.terminate:
            message = f"the model did not finish within {seconds:.0f} s; take a smaller micro-batch"
            raise RequestError("model_timeout", message, scene_fault=True) from error
        raise
    finally:
        timer.cancel()


def run(session: Any, names: list[str], feeds: dict[str, np.ndarray], options: Any = None) -> list[np.ndarray]:
    """`session.run` with errors as RequestError: `model_failed`, `out_of_memory`."""
    try:
        return list(session.run(names, feeds, options))
    except MemoryError:
        raise
    except Exception as error:
        raise translate(error) from error


def translate(error: Exception) -> RequestError:
    """What the runtime says, in one line, as an error of this protocol."""
    text = " ".join(str(error).split())[:400]
    if any(sign in text for sign in ("bad_alloc", "Failed to allocate", "out of memory", "bad allocation")):
        return RequestError("out_of_memory", text, scene_fault=True)
    return RequestError(
        "model_failed", f"ONNX Runtime: {text}; try the model with onnxruntime on your own machine", scene_fault=True
    )


def instruction_set() -> str:
    """The widest vector instructions of this machine that decide the last bits: avx512, avx2, sse, neon, or unknown."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "unknown"
    words = set(text.split())
    for flag, name in (("avx512f", "avx512"), ("avx2", "avx2"), ("sse4_2", "sse"), ("asimd", "neon")):
        if flag in words:
            return name
    return "unknown"
