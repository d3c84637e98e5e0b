"""What the hardware probe reads."""

from __future__ import annotations

from node.hardware import probe
from node.hardware.gpus import parse_nvidia_smi
from node.hardware.probe import parse_cpuinfo

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
