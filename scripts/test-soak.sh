#!/usr/bin/env bash
# Checks soak/: style, types, that its faults are real and its account is strict; and runs it for a short while.
# Usage: scripts/test-soak.sh FOLDER_OF_THE_BINARIES SECONDS
set -euo pipefail

main() {
    local bin_dir seconds=${2:?usage: test-soak.sh FOLDER_OF_THE_BINARIES SECONDS}
    bin_dir=$(realpath "$1")
    cd "$(dirname "$0")/.."
    export PATH=${MONLIGHT_VENV:-$PWD/.venv}/bin:$PATH MONLIGHT_BIN_DIR=$bin_dir
    ruff check --quiet --config soak/pyproject.toml soak
    ruff format --quiet --check --config soak/pyproject.toml soak
    mypy --no-error-summary --config-file soak/pyproject.toml soak
    npm --prefix clients/js run --silent build
    scripts/soak.sh pytest --quiet --config-file soak/pyproject.toml soak/tests
    scripts/soak.sh python -m soak --bin-dir "$bin_dir" --seconds "$seconds"
}

main "$@"
