#!/usr/bin/env bash
# Runs the tests in this folder with Docker Engines of their own and images of the binaries given.
# Usage: deploy/tests/run.sh FOLDER_OF_THE_BINARIES                all of them, in two halves at the same time
#        deploy/tests/run.sh FOLDER_OF_THE_BINARIES TEST ...       these, as for `python -m unittest`
#        deploy/tests/run.sh FOLDER_OF_THE_BINARIES --figures      instead measures what `make bench` writes down
set -euo pipefail

readonly NO_ENGINE=69
# About half of the time; the other tests are the other half.
readonly FIRST_HALF=(test_upgrade)

inside() {
    export MONLIGHT_BIN_DIR=$1
    scripts/images.sh build "$1" 2>&1 | grep '^monlight/' >&2
    shift
    # The Python client is among what sends events, and has its packages there.
    export PATH=${MONLIGHT_VENV:-$PWD/.venv}/bin:$PATH PYTHONDONTWRITEBYTECODE=1
    cd deploy/tests
    if [ "$1" = --figures ]; then
        exec python3 figures.py
    fi
    exec python3 -m unittest --verbose "$@"
}

with_engine() { scripts/engine.sh deploy/tests/run.sh --inside "$@"; }

# A test mostly waits, for Docker or for a service. What one half says is shown when the other has ended.
in_halves() {
    local bin_dir=$1 said binary second_half first=0 second=0
    mapfile -t second_half < <(cd deploy/tests && printf '%s\n' test_*.py | sed 's/\.py$//' | grep --line-regexp --invert-match "${FIRST_HALF[@]/#/--regexp=}")
    # Both engines build from the same files.
    for binary in "$bin_dir"/{error-tracker,log-viewer,metrics-collector,browser-relay}; do scripts/images.sh layout "$binary"; done
    said=$(mktemp)
    # shellcheck disable=SC2064 # The name is known now.
    trap "rm -f '$said'" EXIT
    with_engine "$bin_dir" "${second_half[@]}" >"$said" 2>&1 &
    with_engine "$bin_dir" "${FIRST_HALF[@]}" || first=$?
    wait $! || second=$?
    cat "$said" >&2
    # Where they differ, one has failed.
    if [ "$first" = "$second" ]; then return "$first"; fi
    return 1
}

main() {
    local bin_dir=${1:?usage: deploy/tests/run.sh FOLDER_OF_THE_BINARIES [TEST ...]} code=0
    bin_dir=$(realpath "$bin_dir")
    shift
    cd "$(dirname "$0")/../.."
    if [ $# -gt 0 ]; then with_engine "$bin_dir" "$@" || code=$?; else in_halves "$bin_dir" || code=$?; fi
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
