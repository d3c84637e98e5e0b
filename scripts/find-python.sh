#!/bin/sh
# Prints a Python 3.13 that runs: $PYTHON, python3.13 on PATH, pyenv's installed versions, then uv (which fetches one).
# bpy exists for 3.13 alone. A name on PATH proves nothing: pyenv leaves shims for versions that are not selected.
set -u

works() {
    [ -n "$1" ] && "$1" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1
}

real() {
    "$1" -c 'import sys; print(sys.executable)'
}

if [ -n "${PYTHON:-}" ]; then
    if works "$PYTHON"; then real "$PYTHON"; exit 0; fi
    echo "PYTHON=$PYTHON is not a Python 3.13 with its venv module; looking on" >&2
fi

if works python3.13; then real python3.13; exit 0; fi

for python in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13 "$HOME"/.pyenv/versions/3.13*/bin/python3.13 \
    /usr/local/bin/python3.13 /usr/bin/python3.13 /opt/python3.13/bin/python3.13; do
    if works "$python"; then real "$python"; exit 0; fi
done

for uv in uv "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv"; do
    if "$uv" --version >/dev/null 2>&1; then
        "$uv" python install 3.13 >&2 || continue
        python=$("$uv" python find --managed-python 3.13 2>/dev/null || "$uv" python find 3.13)
        if works "$python"; then real "$python"; exit 0; fi
    fi
done

cat >&2 <<'END'
kilnet needs Python 3.13 (Blender's wheel exists for no other), and none was found. Any of these brings one:
  uv        https://docs.astral.sh/uv/ , then run make again: it fetches Python by itself
  pyenv     pyenv install 3.13
  Debian 13 sudo apt install python3.13 python3.13-venv
  Fedora    sudo dnf install python3.13
  Arch      yay -S python313
or set PYTHON to where it is: make PYTHON=/path/to/python3.13
END
exit 1
