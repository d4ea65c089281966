#!/usr/bin/env bash
# Usage: setup-venv.sh VENV TARGET   create VENV and install TARGET (., .[dev]) under the constraints file.
set -euo pipefail
venv=$1 target=$2
cd "$(dirname "$0")/.."
python=${PYTHON3:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "MarchProxy needs Python 3.11 or newer; $python is $("$python" --version). Set PYTHON3 to another one." >&2
    exit 1
}
if [ ! -x "$venv/bin/pip" ]; then
    # Debian ships ensurepip in a package of its own
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        echo "Python's venv module is incomplete here: installing the package python3-venv" >&2
        if [ "$(id -u)" -ne 0 ]; then
            echo "this needs root once: sudo apt-get install python3-venv" >&2
            exit 1
        fi
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    fi
    echo "creating $venv" >&2
    "$python" -m venv "$venv"
fi
echo "installing $target into $venv (about 20 s the first time)" >&2
"$venv/bin/pip" install --quiet --disable-pip-version-check -c constraints.txt -e "$target"
