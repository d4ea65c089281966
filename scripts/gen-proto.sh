#!/usr/bin/env bash
# Usage: gen-proto.sh [--check]   generate code from proto/; --check only tells whether it is up to date.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
python=$(realpath -s "${PYTHON:-.venv/bin/python}")
target=src/marchproxy/contract/pb
case ${1-} in
    "" | --check) ;;
    *) sed -n 2p "$0" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/python" "$work/go"

PATH="$(dirname "$python"):$PATH" "$python" -m grpc_tools.protoc -Iproto \
    --python_out="$work/python" --grpc_python_out="$work/python" \
    --mypy_out=quiet:"$work/python" --mypy_grpc_out=quiet:"$work/python" \
    proto/marchproxy/*.proto

# The .proto files are registered as marchproxy/*.proto, which is part of the contract; their modules live deeper.
pb=$work/python/marchproxy
sed -i -E \
    -e 's/^from marchproxy import (\w+_pb2)\b/from marchproxy.contract.pb import \1/' \
    -e 's/\bmarchproxy\.(\w+_pb2)\b/marchproxy.contract.pb.\1/g' \
    "$pb"/*
echo '"""Generated from proto/ by scripts/gen-proto.sh; do not edit."""' >"$pb/__init__.py"

if [ "${1-}" = --check ]; then
    if ! diff -r -u --exclude=__pycache__ "$target" "$pb"; then
        echo "$target does not match proto/: run 'make proto' and commit the result" >&2
        exit 1
    fi
    echo "$target matches proto/"
    exit 0
fi

mkdir -p "$target"
rm -f "$target"/*.py "$target"/*.pyi
cp "$pb"/* "$target"/
echo "Python: $target"

if command -v protoc-gen-go >/dev/null && command -v protoc-gen-go-grpc >/dev/null; then
    "$python" -m grpc_tools.protoc -Iproto \
        --go_out="$work/go" --go_opt=module=github.com/marchproxy/marchproxy \
        --go-grpc_out="$work/go" --go-grpc_opt=module=github.com/marchproxy/marchproxy \
        proto/marchproxy/*.proto
    mkdir -p pkg/proto
    cp -r "$work/go/pkg/proto/." pkg/proto/
    echo "Go: pkg/proto/marchproxy"
else
    echo "Go: skipped, protoc-gen-go and protoc-gen-go-grpc are not on PATH"
fi
