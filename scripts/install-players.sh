#!/usr/bin/env bash
# Usage: install-players.sh   install the players of HLS and DASH for browsers that the real tests run, with npm, into
# .players. Does nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(hls.js@1.7.4 dashjs@5.2.1 shaka-player@5.2.12)
stamp=.players/installed
[ "$(cat "$stamp" 2>/dev/null)" = "${packages[*]}" ] && exit 0
echo "installing ${packages[*]}" >&2
mkdir -p .players
npm install --prefix .players --no-save --no-audit --no-fund --ignore-scripts --silent "${packages[@]}"
echo "${packages[*]}" >"$stamp"
