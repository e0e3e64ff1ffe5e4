#!/usr/bin/env bash
# Runs the tests in this folder with a Docker Engine of their own and images of the binaries given.
# Usage: deploy/tests/run.sh FOLDER_OF_THE_BINARIES [TEST ...]    a test as for `python -m unittest`
#        deploy/tests/run.sh FOLDER_OF_THE_BINARIES --figures     instead measures what `make bench` writes down
set -euo pipefail

readonly NO_ENGINE=69

inside() {
    export MONLIGHT_BIN_DIR=$1
    scripts/images.sh build "$1" 2>&1 | grep '^monlight/' >&2
    shift
    # The Python client is among what sends events, and has its packages there.
    export PATH=${MONLIGHT_VENV:-$PWD/.venv}/bin:$PATH PYTHONDONTWRITEBYTECODE=1
    cd deploy/tests
    if [ "${1:-}" = --figures ]; then
        exec python3 figures.py
    elif [ $# -gt 0 ]; then
        exec python3 -m unittest --verbose "$@"
    fi
    exec python3 -m unittest discover --verbose
}

main() {
    local bin_dir=${1:?usage: deploy/tests/run.sh FOLDER_OF_THE_BINARIES [TEST ...]} code=0
    bin_dir=$(realpath "$bin_dir")
    shift
    cd "$(dirname "$0")/../.."
    scripts/engine.sh deploy/tests/run.sh --inside "$bin_dir" "$@" || code=$?
    if [ "$code" = "$NO_ENGINE" ] && [ "${CI:-}" != true ]; then
        printf 'deploy/tests: the containers were NOT tested: there is no Docker Engine here\n' >&2
        return 0
    fi
    return "$code"
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
else
    main "$@"
fi
