#!/bin/sh
# slither over the contracts, in an environment of its own (build/slither). What it finds and is meant stands beside the line
# that it is about, or, for whole detectors, in contracts/slither.json; docs/contracts.md says why. Anything else fails.
set -eu
cd "$(dirname "$0")/.."
python=$(sh scripts/find-python.sh)
venv=build/slither
[ -x "$venv/bin/slither" ] || { "$python" -m venv "$venv" && "$venv/bin/pip" install -q "slither-analyzer==0.11.6"; }
PATH="$PWD/$(dirname "$(.venv/bin/python -c 'import os; from contracts.toolchain import find_forge; print(os.path.relpath(find_forge()))')"):$PATH"
KILNET_NODE=$(.venv/bin/python -c 'from contracts.toolchain import find_node; print(find_node())')
FOUNDRY_OUT=../build/slither/forge-out FOUNDRY_CACHE_PATH=../build/slither/forge-cache
export PATH KILNET_NODE FOUNDRY_OUT FOUNDRY_CACHE_PATH
slither=$PWD/$venv/bin/slither
cd contracts
exec "$slither" . --config-file slither.json "$@"
