"""The system calls a runner has no business with, as a classic BPF program for bwrap's --seccomp.

A denylist, not an allowlist: GPU drivers and Blender use calls that nobody could list in advance, so this only
takes away the doors through which kernels have been broken from inside a container (namespaces, mounts, keyrings,
BPF, io_uring, userfaultfd, perf) and the socket families that a network namespace does not contain (AF_VSOCK
reaches the hypervisor). It is written out here because the well-kept binding (libseccomp's own) is not on PyPI for
every Python that Blender asks for, and the program is only loads, compares and returns.
"""

from __future__ import annotations

import errno
import platform
import struct

__all__ = ["DENIED", "seccomp_filter"]

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24  # offsets in struct seccomp_data, little-endian

# CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}
_NEW_NAMESPACES = 0x80 | 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_AF_UNIX = 1
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86_64, aarch64); None where the architecture never had the call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
    "vmsplice": (278, 75),
}
_CLONE, _CLONE3, _SOCKET, _IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)


def seccomp_filter(machine: str | None = None) -> bytes | None:
    """The filter for `machine` (as `platform.machine()` names it), or None where none is written for it.

    Denied calls answer EPERM; clone3 answers ENOSYS, because its flags lie in memory that a filter cannot read and
    every libc falls back to clone; sockets other than AF_UNIX answer EAFNOSUPPORT.
    """
    machine = machine or platform.machine()
    if machine not in _AUDIT_ARCH:
        return None
    column = 0 if machine == "x86_64" else 1
    program = [
        _load(_ARCHITECTURE),
        _instruction(_JUMP_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _refuse(errno.ENOSYS),
        _load(_NUMBER),
    ]
    if machine == "x86_64":  # the x32 calls, the same kernel functions under other numbers
        program += [_instruction(_JUMP_AT_LEAST, 0x40000000, 0, 1), _refuse(errno.ENOSYS)]
    for numbers in DENIED.values():
        number = numbers[column]
        if number is not None:
            program += [_instruction(_JUMP_EQUAL, number, 0, 1), _refuse(errno.EPERM)]
    program += [_instruction(_JUMP_EQUAL, _CLONE3[column], 0, 1), _refuse(errno.ENOSYS)]
    program += [
        _instruction(_JUMP_EQUAL, _CLONE[column], 0, 4),
        _load(_ARGUMENT_0),
        _instruction(_JUMP_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _refuse(errno.EPERM),
        _instruction(_RETURN, _ALLOW),
    ]
    program += [
        _instruction(_JUMP_EQUAL, _SOCKET[column], 0, 4),
        _load(_ARGUMENT_0),
        _instruction(_JUMP_EQUAL, _AF_UNIX, 1, 0),
        _refuse(errno.EAFNOSUPPORT),
        _instruction(_RETURN, _ALLOW),
    ]
    program += [
        _instruction(_JUMP_EQUAL, _IOCTL[column], 0, 5),
        _load(_ARGUMENT_1),
        _instruction(_JUMP_EQUAL, _TERMINAL_INJECTION[0], 1, 0),
        _instruction(_JUMP_EQUAL, _TERMINAL_INJECTION[1], 0, 1),
        _refuse(errno.EPERM),
        _instruction(_RETURN, _ALLOW),
    ]
    program.append(_instruction(_RETURN, _ALLOW))
    return b"".join(program)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, offset)


def _refuse(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)
