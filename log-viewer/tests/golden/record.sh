#!/usr/bin/env bash
# Writes down anew what the programs of this folder say when they die: NAME.lines, first stdout, then stderr, each line
# with its stream's mark. Needs python3, node, rustc, javac, go, ruby and mono-mcs; the tests need none of them.
# Usage: record.sh
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

# As the image of a container has it, so that paths look like those of one.
readonly app=/app

record() {
    local name=$1
    shift
    (cd "$app" && "$@" >out.txt 2>err.txt) || true
    { sed 's/^/O|/' "$app/out.txt"; sed 's/^/E|/' "$app/err.txt"; } >"$golden/$name.lines"
    say "$name: $(wc --lines <"$golden/$name.lines") lines"
}

main() {
    golden=$(cd "$(dirname "$0")" && pwd)
    mkdir "$app"
    trap 'rm --recursive "$app"' EXIT
    cp "$golden"/programs/* "$app"
    local program
    for program in chained group syntax threads; do record "python-$program" /usr/bin/python3 "python_$program.py"; done
    for program in uncaught assert text promise; do record "node-$program" node "node_$program.js"; done
    (cd "$app" && javac Chained.java)
    record java-chained java Chained
    for program in panic nil deadlock; do record "go-$program" go run "go_$program.go"; done
    for program in cause name; do record "ruby-$program" ruby "ruby_$program.rb"; done
    (cd "$app" && rustc -g --remap-path-prefix "$HOME=/root" rust_panic.rs 2>warnings.txt)
    record rust-panic env --unset=RUST_BACKTRACE ./rust_panic
    RUST_BACKTRACE=1 record rust-backtrace ./rust_panic
    (cd "$app" && mcs -debug mono_inner.cs)
    record mono-inner mono --debug mono_inner.exe
}

main "$@"
