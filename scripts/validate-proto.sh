#!/usr/bin/env bash
# Usage: validate-proto.sh [DIR]   compile DIR/marchproxy/*.proto (default: proto) and check the contract's rules.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" scripts/validate_proto.py "${1:-proto}" --fixed tests/unit/contract/wire.json
