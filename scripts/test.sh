#!/bin/sh
# The tests: NUMBER at a time (default 2). Arguments after it go to pytest: sh scripts/test.sh 1 tests/unit -k merkle
set -eu
cd "$(dirname "$0")/.."
workers=${1:-2}
[ $# -eq 0 ] || shift
# loadgroup: tests/conftest.py keeps a file's tests together, and those that start a whole stack one after another.
exec .venv/bin/python -m pytest -q -n "$workers" --dist loadgroup --durations=10 "$@"
