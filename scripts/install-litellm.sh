#!/usr/bin/env bash
# Usage: install-litellm.sh [VENV]   LiteLLM's proxy, the peer of bench.ai, in a virtual environment of its own: 742 MB,
# pinned to what was measured, as are all of its dependencies. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv-litellm} wanted=1.106.2
[ "$("$venv/bin/pip" show litellm 2>/dev/null | sed -n 's/^Version: //p')" = "$wanted" ] && exit 0
"${PYTHON3:-python3}" -m venv "$venv"
echo "installing litellm $wanted into $venv (minutes the first time)" >&2
"$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    -c scripts/litellm-constraints.txt "litellm[proxy]==$wanted"
