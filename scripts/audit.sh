#!/usr/bin/env bash
# Looks at what the binaries are made of: licences, sources, duplicates (deny.toml), and known vulnerabilities where the database of
# them can be reached. Installs cargo-deny if it is missing, which takes some minutes.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
die() { say "audit: $*"; exit 1; }

main() {
    cd "$(dirname "$0")/.."
    command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny
    cargo deny --locked check licenses bans sources
    if cargo deny fetch db; then
        cargo deny --locked check advisories
    elif [ "${CI:-}" = true ]; then
        die "the advisory database cannot be reached"
    else
        say "audit: the advisory database cannot be reached: known vulnerabilities were NOT looked for"
    fi
}

main "$@"
