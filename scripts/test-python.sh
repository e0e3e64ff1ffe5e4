#!/usr/bin/env bash
# Checks clients/python: style, types, all its tests, and the contract's tests with the published client too.
# Usage: scripts/test-python.sh
set -euo pipefail

main() {
    cd "$(dirname "$0")/../clients/python"
    export PATH=${MONLIGHT_VENV:-$PWD/../../.venv}/bin:$PATH PYTHONDONTWRITEBYTECODE=1
    ruff check --quiet .
    ruff format --quiet --check .
    mypy --no-error-summary
    pytest --quiet
    MONLIGHT_CLIENT_VERSION=0.3.0 pytest --quiet --override-ini pythonpath=tests tests/contract
}

main "$@"
