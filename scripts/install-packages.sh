#!/usr/bin/env bash
# Usage: install-packages.sh litellm|judges [VENV]   packages of others in a virtual environment of their own (.venv-litellm,
# .venv-judges), all of them pinned in scripts/*-constraints.txt. Does nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
    litellm) wanted=("litellm[proxy]") size="742 MB" ;; # the peer of bench.ai
    # of the AILB. torch is whichever build of its version pip finds: one with CUDA is several GB more; litellm wants mcp,
    # and does not say so
    judges) wanted=(guidellm litellm mcp torch "transformers[serving]") size="1.8 GB" ;;
    *) echo "usage: $0 litellm|judges [VENV]" >&2; exit 2 ;;
esac
venv=${2:-.venv-$1} pins=scripts/$1-constraints.txt
# what is written last says that all of it is there
cmp -s "$pins" "$venv/installed.txt" && exit 0
echo "installing ${wanted[*]} into $venv: $size, minutes the first time" >&2
"${PYTHON3:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -c "$pins" "${wanted[@]}"
cp "$pins" "$venv/installed.txt"
