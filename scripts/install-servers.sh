#!/usr/bin/env bash
# Usage: install-servers.sh test|bench   apt-get install the servers and clients that the real tests or the
# benchmarks talk to. Does nothing when they are all there.
set -euo pipefail
case "${1:-}" in
    test)
        packages=(curl wrk nghttp2-client iproute2 procps nftables conntrack)
        # one port, seven protocols: servers that are started by the tests, and a client of each
        packages+=(postgresql postgresql-client mariadb-server-core mariadb-client-core redis-server redis-tools)
        packages+=(ffmpeg openssl sysbench nginx libnginx-mod-rtmp)
        packages+=(chromium) # plays HLS and DASH
        packages+=(rtmpdump gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad) # publish and play RTMP
        command -v npm >/dev/null || packages+=(npm)
        ;;
    bench)
        packages=(curl wrk nghttp2-client iproute2 procps haproxy nginx libnginx-mod-stream libnginx-mod-rtmp nftables conntrack)
        packages+=(postgresql postgresql-client pgbouncer mariadb-server-core mariadb-client-core sysbench)
        packages+=(redis-server redis-tools)
        ;;
    *) echo "usage: $0 test|bench" >&2; exit 2 ;;
esac
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "these packages are needed: ${missing[*]}; run: sudo apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "installing ${missing[*]}" >&2
# a package's own service must not start: the tests start every server themselves
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
