#!/usr/bin/env bash
# Measures the sections of docs/performance.md, each in a process of its own with a time limit, and all of them when none is named.
# A section that fails is noted in the page, which keeps what was measured before; the others go on, and the exit code is 1.
# Usage: scripts/bench.sh [SECTION ...]     --list prints the sections
#   VOLUME=full    up to 10 million log entries and 100 million points, where the disk allows it
set -euo pipefail

# The longest takes three minutes on a quiet machine with two cores, and one that hangs must not hold up the rest.
readonly SECTION_SECONDS_MAX=900 SECTION_SECONDS_MAX_FULL=5400
# From being asked to end until being killed: services and containers stop in that time.
readonly GRACE_SECONDS=60

say() { printf 'bench: %s\n' "$*" >&2; }

# The benches of all packages; each knows its own sections.
benches() { cargo bench --quiet --workspace --locked --bench figures -- "$@"; }

# In the background, since a shell hears no signal while it waits for a program in front.
measure() {
    local seconds=$SECTION_SECONDS_MAX
    if [ "${VOLUME:-}" = full ]; then seconds=$SECTION_SECONDS_MAX_FULL; fi
    timeout --kill-after="$GRACE_SECONDS" "$seconds" cargo bench --quiet --workspace --locked --bench figures -- "$1" &
    child=$!
    wait "$child"
}

stop() {
    trap - INT TERM
    if [ -n "$child" ]; then
        # It passes that on to all it started. It may have ended already.
        kill "$child" 2>/dev/null || true
        wait "$child" || true
    fi
    exit 130
}

main() {
    cd "$(dirname "$0")/.."
    local section known chosen code why started failed=()
    known=$(benches --list)
    if [ "${1:-}" = --list ]; then
        printf '%s\n' "$known"
        return
    fi
    for section in "$@"; do
        if ! grep -qxF -e "$section" <<<"$known"; then
            say "there is no section $section; there are:"
            printf '%s\n' "$known" >&2
            exit 2
        fi
    done
    mapfile -t chosen <<<"$known"
    if [ $# -gt 0 ]; then chosen=("$@"); fi
    child=
    trap stop INT TERM
    for section in "${chosen[@]}"; do
        say "$section"
        started=$SECONDS code=0
        measure "$section" || code=$?
        say "$section: $((SECONDS - started)) s, exit code $code"
        if [ "$code" != 0 ]; then
            failed+=("$section")
            why="it failed with exit code $code"
            if [ "$code" = 124 ] || [ "$code" = 137 ]; then why="it did not end in time"; fi
            benches --failed "$section" "$why" || say "docs/performance.md could not be told"
        fi
    done
    say "all of it: $SECONDS s"
    if [ ${#failed[@]} -gt 0 ]; then
        say "not measured: ${failed[*]}"
        exit 1
    fi
}

main "$@"
