"""What the hardware probe reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.hardware import Gpu, device_ids, probe
from node.hardware.gpus import parse_nvidia_smi
from node.hardware.probe import parse_cpuinfo
from node.runner_programs import BLENDER, ONNX, RunnerSettings, installed_runtimes, onnx_provider

SMI = """0, NVIDIA GeForce RTX 4090, GPU-1, 24564, 570.86.15, 8.9
1, NVIDIA H100, "80GB", odd
2, Tesla T4, GPU-2, [N/A], 570.86.15, 7.5
No devices were found
"""


def test_nvidia_smi_is_read_line_by_line() -> None:
    """Lines that are no GPU are left out; unknown memory is None."""
    first, second = parse_nvidia_smi(SMI)
    assert (first.index, first.name, first.memory_bytes) == (0, "NVIDIA GeForce RTX 4090", 24564 << 20)
    assert (first.compute_capability, first.device) == ("8.9", "/dev/nvidia0")
    assert (second.index, second.memory_bytes) == (2, None)


def test_cpuinfo_of_x86_and_arm() -> None:
    """Model and flags of the first processor only."""
    x86 = "processor\t: 0\nmodel name\t: AMD  EPYC 7B13\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: other\n"
    assert parse_cpuinfo(x86) == ("AMD EPYC 7B13", frozenset({"fpu", "avx2", "fma"}))
    assert parse_cpuinfo("processor : 0\nFeatures : fp asimd sve\n") == ("", frozenset({"fp", "asimd", "sve"}))
    assert parse_cpuinfo("") == ("", frozenset())


def test_this_machine_is_found() -> None:
    """The probe's answer is plausible and fits into a registration."""
    found = probe()
    assert found.threads >= 1 and found.memory_bytes > 1 << 28 and found.cpu
    assert found.as_json()["cores"] >= 1


def test_devices_are_named_as_they_are_chosen() -> None:
    """NVIDIA's by the driver's index, others in their order; the fastest way first, the processor last."""
    gpus = tuple(
        Gpu(vendor, index, "", None, None)
        for vendor, index in (("NVIDIA", 0), ("NVIDIA", 3), ("AMD", 128), ("AMD", 130), ("Intel", 129))
    )
    here = replace(probe(), gpus=gpus)
    assert device_ids(here) == ["OPTIX:0", "OPTIX:3", "HIP:0", "HIP:1", "ONEAPI:0", "CPU"]
    assert device_ids(here, every=True)[:4] == ["OPTIX:0", "CUDA:0", "OPTIX:3", "CUDA:3"]
    assert device_ids(replace(here, gpus=())) == ["CPU"]


@pytest.mark.parametrize(
    ("device", "provider"),
    [("CPU", "CPU"), ("OPTIX:1", "CUDA"), ("CUDA:1", "CUDA"), ("HIP:0", "MIGraphX"), ("ONEAPI:0", None)],
)
def test_a_device_without_a_provider_renders_all_the_same(device: str, provider: str | None) -> None:
    """Blender works on more kinds of GPU than ONNX Runtime can be held to its profile on."""
    found = installed_runtimes(RunnerSettings(device=device))
    assert (ONNX in found) is (provider is not None) and BLENDER in found
    if provider is not None:
        index = int(device.partition(":")[2] or 0)
        assert onnx_provider(device) == (f"{provider}ExecutionProvider", index)
