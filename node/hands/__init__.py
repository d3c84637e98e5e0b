"""`python -m node.hands`: redo cells or tiles on this machine, in the sandbox, for whoever audits a job.

One JSON object on stdin:

    folder       where the job's files lie, under the names of their assets (absolute)
    main         the .blend or .onnx among them
    assets       the manifest's assets (jobs.manifest.Asset)
    contract     jobs.contract
    work         [{"tile": jobs.tiles.Tile, "cells": [index, ...] or null for the whole tile}, ...]
    out          an existing folder for the results (absolute)
    threads      optional; 0: all
    device       optional; CPU
    unsandboxed  optional; false

and one on stdout: {"numerics_class", "score", "results": [{"file", "bytes", "seconds"}, ...]}, in the order of `work`.
A result is raw: the cells one after the other in ascending order, or the tile. Errors are one line on stderr, with the
exit codes of jobs.errors.
"""

from node.hands.main import redo

__all__ = ["redo"]
