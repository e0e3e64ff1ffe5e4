#!/usr/bin/env bash
# Starts the services for development, with data and a generated key in run/. Ctrl-C stops them.
# Usage: scripts/run.sh FOLDER_OF_THE_BINARIES
set -euo pipefail

say() { printf '%s\n' "$*"; }

# The key is made once, so that a restart keeps it.
development_key() {
    local file=run/development-key
    if [ ! -s "$file" ]; then
        (umask 077 && head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$file")
    fi
    cat "$file"
}

introduce() {
    local key=$1
    say "error-tracker: http://localhost:5010   API key: $key"
    say "Report a first error from another terminal:"
    say ""
    say "  curl -X POST http://localhost:5010/api/errors -H 'X-API-Key: $key' \\"
    say "    -d '{\"project\":\"demo\",\"exception_type\":\"ValueError\",\"message\":\"first error\",\"traceback\":\"File \\\"app.py\\\", line 1\"}'"
    say ""
    say "Ctrl-C stops it."
}

main() {
    local bin_dir=${1:?usage: run.sh FOLDER_OF_THE_BINARIES}
    cd "$(dirname "$0")/.."
    mkdir -p run/data
    local key
    key=$(development_key)
    introduce "$key"
    API_KEY=$key PORT=${PORT:-5010} DATABASE_PATH=run/data/errors.db exec "$bin_dir/error-tracker"
}

main "$@"
