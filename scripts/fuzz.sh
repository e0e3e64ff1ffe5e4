#!/usr/bin/env bash
# Tries every fuzz target; what breaks one is left in fuzz/target/artifacts.
# Usage: scripts/fuzz.sh SECONDS      of all targets together, on all processors
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

# Runs one target for so many seconds.
try() {
    local target=$1 seconds=$2
    local corpus=target/corpus/$target artifacts=target/artifacts/$target/ log=target/$target.log
    mkdir -p "$corpus" "$artifacts"
    if ! "$BUILT/$target" "$corpus" "seeds/$target" -max_total_time="$seconds" \
        -artifact_prefix="$artifacts" -timeout=10 -rss_limit_mb=1024 >"$log" 2>&1; then
        tail -40 "$log"
        printf 'fuzz: %s broke; the input is in fuzz/%s\n' "$target" "$artifacts"
        return 1
    fi
    printf 'fuzz: %-28s %s\n' "$target" "$(grep -a '^Done' "$log")"
}
export -f try

main() {
    local seconds=${1:?usage: fuzz.sh SECONDS} targets each
    # For their databases, which no disk need keep.
    TMPDIR=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" monlight-fuzz.XXXXXX)
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
    # The one toolchain there is has no sanitizers.
    cargo fuzz build --fuzz-dir . --sanitizer none
    BUILT=target/$(rustc -vV | sed -n 's/^host: //p')/release
    export BUILT
    mapfile -t targets < <(cargo fuzz list --fuzz-dir .)
    each=$(((seconds * $(nproc) + ${#targets[@]} - 1) / ${#targets[@]}))
    printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c "try {} $each"
}

main "$@"
