#!/usr/bin/env bash
# Installs what a step needs and the machine lacks, where this user may; names it where not.
# Usage: scripts/setup.sh build|test|bench
set -euo pipefail

# What the tests and their packages need. Debian 12 has 18.
readonly NODE_MIN=20 NODE_PACKAGE=node@22

say() { printf '%s\n' "$*" >&2; }
die() { say "setup: $*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# The Debian packages a step needs, judged by what is missing.
missing_packages() {
    local step=$1
    # libc.a is what makes a static binary.
    if ! has cc || [ ! -e "$(cc -print-file-name=libc.a)" ]; then echo gcc libc6-dev; fi
    # For the web interfaces, and for tests.
    { has node && has npm; } || echo nodejs npm
    if [ "$step" = test ]; then
        has shellcheck || echo shellcheck
        # The browser of the tests of the interfaces and of browser-relay.
        { has chromium || has chromium-browser || has google-chrome; } || echo chromium
        # The engine that tests start for themselves (scripts/engine.sh); nothing is left running.
        { has dockerd && has docker && has iptables && has ip; } || echo docker.io iptables iproute2
        has docker-compose || echo docker-compose
        # In front of the containers and of the interfaces, as deploy/nginx.conf.example has it.
        { { has nginx || [ -x /usr/sbin/nginx ]; } && has curl && has openssl; } || echo nginx curl openssl
        # What backups are made and checked with.
        has sqlite3 || echo sqlite3
        # In a step of the workflow that makes images.
        has jq || echo jq
        # libFuzzer is C++.
        has c++ || echo g++
    fi
    if [ "$step" != build ]; then
        python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3 python3-venv
    fi
    if [ "$step" = bench ]; then
        has wrk || echo wrk
    fi
}

install_packages() {
    local packages=("$@")
    [ ${#packages[@]} -gt 0 ] || return 0
    has apt-get || die "please install: ${packages[*]}"
    [ "$(id -u)" = 0 ] || die "please run: sudo apt-get install ${packages[*]}"
    say "setup: installing ${packages[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

# The Python packages of the tests, in a folder of their own; made anew when the list changes.
install_venv() {
    local wanted=({error-tracker/tests,clients/python,soak,scripts/tests}/requirements.txt) have=.venv/installed.txt
    if cat "${wanted[@]}" | cmp -s - "$have"; then return 0; fi
    say "setup: Python packages for the tests"
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check "${wanted[@]/#/--requirement=}"
    cat "${wanted[@]}" >"$have"
}

# Node itself, in a folder of its own, where the system's is too old for the tests; the Makefile puts it first.
install_node() {
    if [ "$(node -p 'process.versions.node.split(".")[0]')" -ge "$NODE_MIN" ]; then return 0; fi
    say "setup: $NODE_PACKAGE for the tests"
    npm install --prefix .node --loglevel=error --no-audit --no-fund "$NODE_PACKAGE" >/dev/null
}

# Node packages, each folder with the scripts that use them.
install_node_packages() {
    local lock folder
    for lock in "$@"; do
        folder=$(dirname "$lock")
        if [ "$folder/node_modules/.package-lock.json" -nt "$lock" ]; then continue; fi
        say "setup: Node packages for $folder"
        npm ci --prefix "$folder" --loglevel=error --no-audit --no-fund >/dev/null
    done
}

main() {
    local step=${1:?usage: setup.sh build|test|bench}
    cd "$(dirname "$0")/.."
    local packages
    read -ra packages <<<"$(missing_packages "$step" | tr '\n' ' ')"
    install_packages "${packages[@]}"
    has cargo || die "please install Rust: https://rustup.rs"
    if [ "$step" = test ]; then install_node; fi
    install_node_packages ui/package-lock.json
    if [ "$step" != build ]; then install_venv; fi
    if [ "$step" = test ]; then
        install_node_packages clients/js/package-lock.json ./*/tests/*/package-lock.json
        has cargo-fuzz || cargo install --quiet --locked cargo-fuzz
    fi
}

main "$@"
