"""The programs that do the work, each a process of its own inside the sandbox."""
