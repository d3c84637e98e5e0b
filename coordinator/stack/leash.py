"""`python -I -S leash.py SIGNAL NICE PARENT COMMAND...`: becomes COMMAND, which gets SIGNAL when its parent dies.

The supervisor starts its children through this, so that not even its own kill -9 leaves any of them behind. A process
of its own and not a hook between fork and exec: such hooks are not safe where threads are about. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns: ends with 1 where the parent is gone already or the kernel refuses."""
    signal, nice, parent, *command = arguments
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0) != 0:
        sys.exit("the kernel does not tie a process to its parent")
    # A parent that died before prctl sends no signal any more.
    if os.getppid() != int(parent):
        sys.exit(1)
    if int(nice):
        os.nice(int(nice))
    os.execvp(command[0], command)  # noqa: S606 - the list comes from the supervisor, no shell reads it


if __name__ == "__main__":
    main(sys.argv[1:])
