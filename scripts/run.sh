#!/usr/bin/env bash
# Starts the services for development, with data and a generated key in run/. Ctrl-C stops them.
# Without Docker on the machine, log-viewer reads a demo folder to which a line is added every second.
# Usage: scripts/run.sh FOLDER_OF_THE_BINARIES
set -euo pipefail

readonly DOCKER_LOGS=/var/lib/docker/containers
readonly DEMO_LOGS=run/demo-logs
# DSN keys are public: this one stands in the pages of a demo.
readonly DEMO_DSN=00000000000000000000000000000000
# Far more than a look at it needs.
readonly DEMO_BYTES_MAX=1000000

say() { printf '%s\n' "$*"; }

# The key is made once, so that a restart keeps it.
development_key() {
    local file=run/development-key
    if [ ! -s "$file" ]; then
        (umask 077 && head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$file")
    fi
    cat "$file"
}

# Docker's folder where there are containers that we may read, else the demo.
log_sources() {
    if compgen -G "$DOCKER_LOGS/*/config.v2.json" >/dev/null; then
        say "$DOCKER_LOGS"
    else
        say "$PWD/$DEMO_LOGS"
    fi
}

# The folder that Docker would make for a container; prints the path of its log.
demo_container() {
    local name=$1 id folder
    id=$(printf '%s' "$name" | sha256sum | cut -c1-64)
    folder=$DEMO_LOGS/$id
    mkdir -p "$folder"
    say "{\"ID\":\"$id\",\"Name\":\"/$name\",\"LogPath\":\"$PWD/$folder/$id-json.log\"}" >"$folder/config.v2.json"
    say "$folder/$id-json.log"
}

# Adds a line as Docker's json-file driver does; the text is escaped already.
demo_line() {
    local log=$1 stream=$2 text=$3
    if [ "$(stat --format %s "$log" 2>/dev/null || echo 0)" -gt "$DEMO_BYTES_MAX" ]; then
        mv "$log" "$log.1"
    fi
    say "{\"log\":\"$text\\n\",\"stream\":\"$stream\",\"time\":\"$(date --utc +%Y-%m-%dT%H:%M:%S.%NZ)\"}" >>"$log"
}

# A small shop: requests, now and then a warning, a structured line, a trace.
feed_demo() {
    local web worker number=0
    web=$(demo_container demo_web)
    worker=$(demo_container demo_worker)
    while true; do
        number=$((number + 1))
        demo_line "$web" stdout "INFO: 10.0.0.$((RANDOM % 250 + 1)) GET /orders/$number 200 $((RANDOM % 40 + 2)) ms"
        if ((number % 4 == 0)); then
            demo_line "$worker" stdout "{\\\"level\\\":\\\"info\\\",\\\"msg\\\":\\\"order paid\\\",\\\"order\\\":$number}"
        fi
        if ((number % 7 == 0)); then
            demo_line "$web" stdout "[WARNING] slow query: $((RANDOM % 900 + 300)) ms in /search"
        fi
        if ((number % 15 == 0)); then
            demo_line "$worker" stderr 'Traceback (most recent call last):'
            demo_line "$worker" stderr '  File \"/app/pay.py\", line 12, in pay'
            demo_line "$worker" stderr "ValueError: no such order: $number"
        fi
        sleep 1
    done
}

introduce() {
    local key=$1 logs=$2
    say "error-tracker:     http://localhost:5010   API key: $key"
    say "log-viewer:        http://localhost:5011   API key: $key   reads $logs"
    say "metrics-collector: http://localhost:5012   API key: $key"
    say "browser-relay:     http://localhost:5013   admin key: $key   DSN key of project demo: $DEMO_DSN"
    say "Report a first error from another terminal, watch logs arrive, send a metric, report as a web page would:"
    say ""
    say "  curl -X POST http://localhost:5010/api/errors -H 'X-API-Key: $key' \\"
    say "    -d '{\"project\":\"demo\",\"exception_type\":\"ValueError\",\"message\":\"first error\",\"traceback\":\"File \\\"app.py\\\", line 1\"}'"
    say ""
    say "  curl -N 'http://localhost:5011/api/logs/tail?api_key=$key'"
    say ""
    say "  curl -X POST http://localhost:5012/api/metrics -H 'X-API-Key: $key' \\"
    say "    -d '[{\"name\":\"orders_total\",\"type\":\"counter\",\"value\":1,\"labels\":{\"shop\":\"berlin\"}}]'"
    say ""
    say "  curl -X POST http://localhost:5013/api/browser/errors -H 'X-Monlight-Key: $DEMO_DSN' \\"
    say "    -d '{\"type\":\"TypeError\",\"message\":\"x is undefined\",\"stack\":\"at pay (app.js:1:2)\"}'"
    say ""
    say "Ctrl-C stops them."
}

# Ends what was started here, and waits until it has, however often that is asked for.
stop_all() {
    trap - EXIT
    trap '' INT TERM
    # The shell's own words about jobs that ended; the services keep theirs.
    exec 2>/dev/null
    local group
    for group in $(jobs -p); do
        # It may have ended by itself.
        kill -- "-$group" || true
    done
    wait || true
}

main() {
    local bin_dir=${1:?usage: run.sh FOLDER_OF_THE_BINARIES}
    cd "$(dirname "$0")/.."
    mkdir -p run/data
    local key logs
    key=$(development_key)
    logs=${LOG_SOURCES:-$(log_sources)}
    introduce "$key" "$logs"
    trap stop_all EXIT
    # Another signal while this one is followed would end the script before it has ended the rest: make passes SIGTERM on,
    # so it comes twice.
    trap 'trap "" INT TERM; exit 0' INT TERM
    # Each in a process group of its own: Ctrl-C reaches this script alone, which then ends them in order. They would
    # take a second signal as impatience.
    set -m
    export API_KEY=$key
    if [ "$logs" = "$PWD/$DEMO_LOGS" ]; then
        mkdir -p "$DEMO_LOGS"
        feed_demo &
    fi
    PORT=5010 DATABASE_PATH=run/data/errors.db "$bin_dir/error-tracker" &
    PORT=5012 DATABASE_PATH=run/data/metrics.db "$bin_dir/metrics-collector" &
    PORT=5013 DATABASE_PATH=run/data/browser-relay.db ADMIN_API_KEY=$key DSN_KEYS=demo:$DEMO_DSN CORS_ORIGINS='http://localhost:*' \
        ERROR_TRACKER_URL=http://localhost:5010 ERROR_TRACKER_API_KEY=$key \
        METRICS_COLLECTOR_URL=http://localhost:5012 METRICS_COLLECTOR_API_KEY=$key "$bin_dir/browser-relay" &
    PORT=5011 DATABASE_PATH=run/data/logs.db LOG_SOURCES=$logs "$bin_dir/log-viewer" &
    # When one of them ends, the others do.
    wait -n
}

main "$@"
