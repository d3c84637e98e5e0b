"""The sandbox that strangers' scenes and models run in.

What a runner finds inside: its interpreter and packages, the system's libraries and fonts, the named GPU devices,
the job's assets at /job, one writable folder at /scratch, a /tmp in memory. No home, no keys, no sockets, no
network, no other process, a cleared environment, and no writing anywhere else. bubblewrap builds it out of
namespaces; a seccomp filter takes away the calls that kernels are attacked through.

What holds when:

| limit | held by | holds |
|---|---|---|
| files, network, processes of the host out of sight | mount, net, pid, ipc, uts, user namespaces | always |
| open files, file size, core files, CPU seconds | rlimits inside | always, per process |
| processes and threads | RLIMIT_NPROC inside and the watchdog | root is exempt from the first |
| memory of one process | RLIMIT_DATA, a quarter above the limit | always; RLIMIT_AS would break GPU drivers |
| memory of all processes | watchdog of `node.runner_process`, 5 looks a second | while the node (and sandbox) lives |
| /tmp, /dev/shm | size of their tmpfs | always |
| scratch: bytes and files | the watchdog, once a second | as above |

GPU memory is not limited: no driver offers that. A sandbox shares its host's kernel and GPU driver: a hole in
either is a way out, which is why nodes keep nothing on the machine that they could not lose.
"""

from node.sandbox.command import build_command
from node.sandbox.launcher import Bubblewrap, Launcher, SandboxRefused, Unsandboxed
from node.sandbox.report import SandboxReport, sandbox_available
from node.sandbox.runtime import Runtime, find_runtime, nvidia_devices, render_devices
from node.sandbox.spec import GIB, JOB, MIB, SCRATCH, Bind, Limits, SandboxSpec

__all__ = [
    "GIB",
    "JOB",
    "MIB",
    "SCRATCH",
    "Bind",
    "Bubblewrap",
    "Launcher",
    "Limits",
    "Runtime",
    "SandboxRefused",
    "SandboxReport",
    "SandboxSpec",
    "Unsandboxed",
    "build_command",
    "find_runtime",
    "nvidia_devices",
    "render_devices",
    "sandbox_available",
]
