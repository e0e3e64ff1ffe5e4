#!/usr/bin/env bash
# Checks clients/js: types, style, all its tests; those in a browser run against the services too.
# Usage: scripts/test-js.sh
set -euo pipefail

main() {
    cd "$(dirname "$0")/../clients/js"
    npm run --silent build
    npm run --silent check
    npm test --silent -- --reporter=dot
}

main "$@"
