#!/usr/bin/env bash
# Tries a running test stack (deploy/docker-compose.test.yml) from outside, as its users would, and stops it at the end.
# It may be run again after another `up`: what it writes is new in every run.
# Usage: deploy/smoke-test.sh [-h|--help]
# HEALTH_TIMEOUT   seconds each service may take to answer, 60
# Exit code: 0 when everything passed, else 1. Needs curl and docker.
set -euo pipefail

readonly HOST=${SMOKE_HOST:-localhost}
readonly ERRORS=http://$HOST:15010 LOGS=http://$HOST:15011 METRICS=http://$HOST:15012 RELAY=http://$HOST:15013
# The keys of the test stack; they open nothing else.
readonly KEY=test_api_key_e2e_12345 ADMIN_KEY=test_admin_key_e2e_12345
readonly ORIGIN=http://localhost:3000
readonly HEALTHY_SECONDS_MAX=${HEALTH_TIMEOUT:-60} STOP_SECONDS_MAX=10
# What the relay takes per minute and key, and one more.
readonly RELAY_LIMIT=300
readonly CONTAINERS=(e2e_browser_relay e2e_error_tracker e2e_log_viewer e2e_metrics_collector)
RUN=$(date +%s)-$$
readonly RUN PROJECT=smoke-$RUN

passed=0 failed=0
# The last answer.
status=0 body='' headers=''

say() { printf '%s\n' "$*"; }
pass() { passed=$((passed + 1)); say "  PASS: $*"; }
fail() { failed=$((failed + 1)); say "  FAIL: $*"; }

# request METHOD URL [curl's arguments ...]; a connection that fails has status 000.
request() {
    local method=$1 url=$2 answer
    shift 2
    answer=$(curl --silent --max-time 15 --include --request "$method" --write-out '\n%{http_code}' "$@" "$url" | tr -d '\r') || true
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
    headers=${answer%%$'\n\n'*}
    body=${answer#*$'\n\n'}
}

send_json() {
    local url=$1 json=$2
    shift 2
    request POST "$url" --header 'Content-Type: application/json' --header 'Expect:' --data "$json" "$@"
}

# expect WHAT STATUS [WORD ...]: the last answer has this status, and every word in its body.
expect() {
    local what=$1 wanted=$2 word
    shift 2
    if [ "$status" != "$wanted" ]; then
        fail "$what: expected status $wanted, got $status: ${body:0:200}"
        return
    fi
    for word in "$@"; do
        if [[ $body != *"$word"* ]]; then
            fail "$what: no $word in ${body:0:200}"
            return
        fi
    done
    pass "$what"
}

# Asks again until the answer has the word: some things take a moment. One that is refused stays so.
expect_soon() {
    local what=$1 url=$2 word=$3 deadline=$((SECONDS + 15))
    while true; do
        request GET "$url" --header "X-API-Key: $KEY"
        if [[ $body == *"$word"* || $status == 4?? ]] || [ "$SECONDS" -ge "$deadline" ]; then break; fi
        sleep 0.2
    done
    expect "$what" 200 "$word"
}

wait_until_healthy() {
    local url deadline=$((SECONDS + HEALTHY_SECONDS_MAX))
    say "Waiting for the services (at most $HEALTHY_SECONDS_MAX s each)"
    for url in "$ERRORS" "$LOGS" "$METRICS" "$RELAY"; do
        until curl --silent --fail --max-time 5 --output /dev/null "$url/health"; do
            if [ "$SECONDS" -ge "$deadline" ]; then
                fail "$url/health does not answer; is the test stack up?"
                break
            fi
            sleep 0.2
        done
        deadline=$((SECONDS + HEALTHY_SECONDS_MAX))
    done
    [ "$failed" = 0 ] || finish
}

try_health() {
    say "Health"
    local url
    for url in "$ERRORS" "$LOGS" "$METRICS" "$RELAY"; do
        request GET "$url/health"
        expect "$url/health" 200 '"status"' '"ok"'
    done
}

try_error_tracker() {
    say "error-tracker"
    local report='{"project":"'"$PROJECT"'","environment":"test","exception_type":"TestError","message":"smoke '"$RUN"'","traceback":"Traceback (most recent call last):\n  File \"smoke.py\", line 1, in <module>\nTestError: smoke"}'
    send_json "$ERRORS/api/errors" "$report" --header "X-API-Key: $KEY"
    expect "a new error is created" 201 '"created"' '"fingerprint"'
    send_json "$ERRORS/api/errors" "$report" --header "X-API-Key: $KEY"
    expect "the same error again is counted" 200 '"incremented"'
    request GET "$ERRORS/api/errors?project=$PROJECT" --header "X-API-Key: $KEY"
    expect "it is listed" 200 '"TestError"'
    request GET "$ERRORS/api/errors" --header "X-API-Key: wrong"
    expect "a wrong key is refused" 401 '"detail"'
}

try_log_viewer() {
    say "log-viewer"
    local path
    for path in /api/stats /api/containers /api/logs; do
        request GET "$LOGS$path" --header "X-API-Key: $KEY"
        expect "$path without containers" 200
    done
}

try_metrics_collector() {
    say "metrics-collector"
    send_json "$METRICS/api/metrics" '{"metrics":[{"name":"smoke_requests","type":"counter","value":1},{"name":"smoke_duration","type":"histogram","value":12.5}]}' \
        --header "X-API-Key: $KEY"
    expect "a batch is accepted" 202 '"accepted"' '"count"'
    request GET "$METRICS/api/metrics/names" --header "X-API-Key: $KEY"
    expect "its names are listed" 200 '"smoke_requests"'
}

try_interfaces() {
    say "Web interfaces"
    local url
    for url in "$ERRORS" "$LOGS" "$METRICS"; do
        request GET "$url/"
        expect "$url/" 200 '<html'
        if [[ $body =~ tailwind|class= ]]; then pass "$url/ has a style"; else fail "$url/ has no style: ${body:0:200}"; fi
    done
}

# Leaves the key in dsn_key.
try_dsn_keys() {
    say "browser-relay: DSN keys"
    send_json "$RELAY/api/dsn-keys" '{"project":"'"$PROJECT"'"}' --header "X-API-Key: $ADMIN_KEY"
    expect "a key is made" 201 '"public_key":"'
    dsn_key=$(sed -n 's/.*"public_key":"\([0-9a-f]*\)".*/\1/p' <<<"$body")
    if [ ${#dsn_key} = 32 ]; then pass "it has 32 characters"; else fail "it has ${#dsn_key} characters, expected 32"; fi
    request GET "$RELAY/api/dsn-keys" --header "X-API-Key: $ADMIN_KEY"
    expect "it is listed" 200 "${dsn_key:-no key was made}"
}

try_browser_events() {
    say "browser-relay: errors and metrics of browsers"
    local as_browser=(--header "Origin: $ORIGIN" --header "X-Monlight-Key: $dsn_key")
    send_json "$RELAY/api/browser/errors" '{"type":"TypeError","message":"x is undefined '"$RUN"'","stack":"TypeError: x is undefined\n    at pay (https://example.com/app.js:1:10)","url":"https://example.com/pay"}' \
        "${as_browser[@]}"
    expect "an error is forwarded" 201
    send_json "$RELAY/api/browser/metrics" '{"metrics":[{"name":"web_vitals_lcp","type":"histogram","value":1250.5}]}' "${as_browser[@]}"
    expect "a metric is forwarded" 202 '"accepted"'
    expect_soon "error-tracker has the error" "$ERRORS/api/errors?source=browser&project=$PROJECT" '"TypeError"'
    expect_soon "metrics-collector has the metric" "$METRICS/api/metrics/names" '"web_vitals_lcp"'
}

try_source_maps() {
    say "browser-relay: source maps"
    send_json "$RELAY/api/source-maps" '{"project":"'"$PROJECT"'","release":"1.0.0","file_url":"/app.js","map_content":"{\"version\":3,\"sources\":[\"app.ts\"],\"names\":[],\"mappings\":\"AAAA\"}"}' \
        --header "X-API-Key: $ADMIN_KEY"
    expect "a map is uploaded" 201 '"uploaded"'
}

try_cors() {
    say "browser-relay: CORS"
    request OPTIONS "$RELAY/api/browser/errors" --header "Origin: $ORIGIN" --header 'Access-Control-Request-Method: POST'
    local name
    for name in access-control-allow-origin access-control-allow-methods; do
        if [[ ${headers,,} == *$'\n'"$name: "* ]]; then pass "a preflight has $name"; else fail "a preflight has no $name: $headers"; fi
    done
}

try_rate_limit() {
    say "browser-relay: rate limit"
    local statuses
    # One curl for all of them, so that they fit into a minute wherever this runs. They count before they are read, so
    # they may be wrong: nothing of them is left that would keep the back ends busy afterwards.
    statuses=$(curl --silent --max-time 60 --parallel --parallel-max 8 --output /dev/null --write-out '%{http_code}\n' \
        --header "X-Monlight-Key: $dsn_key" --header "Origin: $ORIGIN" --header 'Content-Type: application/json' \
        --data '{"type":"FloodError"}' "$RELAY/api/browser/errors?[1-$((RELAY_LIMIT + 1))]" 2>/dev/null |
        sort | uniq --count | tr -s ' \n' ' ') || true
    if [[ $statuses == *" 429 "* ]]; then pass "of $((RELAY_LIMIT + 1)) rapid posts some get 429 ($statuses)"; else fail "none of $((RELAY_LIMIT + 1)) rapid posts gets 429 ($statuses)"; fi
}

try_shutdown() {
    say "Shutdown"
    local container started seconds code
    for container in "${CONTAINERS[@]}"; do
        started=$SECONDS
        if ! docker kill --signal TERM "$container" >/dev/null; then
            fail "$container: no SIGTERM could be sent"
            continue
        fi
        code=$(timeout "$STOP_SECONDS_MAX" docker wait "$container" 2>/dev/null) || code="none in $STOP_SECONDS_MAX s"
        seconds=$((SECONDS - started))
        if [ "$code" = 0 ]; then pass "$container stops on SIGTERM with exit code 0 ($seconds s)"; else fail "$container: expected exit code 0, got $code"; fi
    done
}

finish() {
    say "Results: $passed passed, $failed failed"
    exit $((failed > 0))
}

main() {
    case ${1:-} in
        '') ;;
        -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
        *) say "unknown argument $1; see $0 --help" >&2; exit 1 ;;
    esac
    local program
    for program in curl docker; do
        command -v "$program" >/dev/null || { say "$program is missing" >&2; exit 1; }
    done
    wait_until_healthy
    try_health
    try_error_tracker
    try_log_viewer
    try_metrics_collector
    try_interfaces
    try_dsn_keys
    try_browser_events
    try_source_maps
    try_cors
    try_rate_limit
    try_shutdown
    finish
}

main "$@"
