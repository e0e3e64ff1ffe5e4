# shellcheck shell=bash
# What the scripts here share.

# Each database with the service it belongs to and the container of docker-compose.monitoring.yml.
readonly DATABASES=(errors logs metrics browser-relay)
# shellcheck disable=SC2034
declare -rA SERVICE_OF=([errors]=error-tracker [logs]=log-viewer [metrics]=metrics-collector [browser-relay]=browser-relay)
# shellcheck disable=SC2034
declare -rA CONTAINER_OF=([errors]=error_tracker [logs]=log_viewer [metrics]=metrics_collector [browser-relay]=browser_relay)

say() { printf '[%s] %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*"; }
die() {
    say "ERROR: $*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# The comment at the top of a script.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$1"; }

is_database() {
    local name
    for name in "${DATABASES[@]}"; do
        [ "$name" = "$1" ] && return 0
    done
    return 1
}

# Whether a database file is sound.
check_integrity() {
    local verdict
    verdict=$(sqlite3 "$1" 'PRAGMA integrity_check' 2>&1) || return 1
    [ "$verdict" = ok ]
}
