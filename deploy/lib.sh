# shellcheck shell=bash
# What the scripts here share.

# The order of an upgrade: the relay last, for it keeps what a back end does not take while that one restarts.
# shellcheck disable=SC2034
readonly SERVICES=(error-tracker log-viewer metrics-collector browser-relay)
readonly DATABASES=(errors logs metrics browser-relay)
# shellcheck disable=SC2034
declare -rA DATABASE_OF=([error-tracker]=errors [log-viewer]=logs [metrics-collector]=metrics [browser-relay]=browser-relay)
declare -rA SERVICE_OF=([errors]=error-tracker [logs]=log-viewer [metrics]=metrics-collector [browser-relay]=browser-relay)
# How compose is called for the files of COMPOSE_FILE, and the name it gives their containers in common; see find_compose.
COMPOSE=() PROJECT=

say() { printf '[%s] %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*"; }
die() {
    say "ERROR: $*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# The containers of COMPOSE_FILE are meant from now on. Variables are taken from secrets.env.
find_compose() {
    local file files absolute=() containers
    if docker compose version >/dev/null 2>&1; then
        COMPOSE=(docker compose)
    elif has docker-compose; then
        COMPOSE=(docker-compose)
    else
        die "neither 'docker compose' nor docker-compose is here"
    fi
    [ -z "${COMPOSE_PROJECT_NAME:-}" ] || COMPOSE+=(--project-name "$COMPOSE_PROJECT_NAME")
    file=${SECRETS_FILE:-$HERE/secrets.env}
    if [ -f "$file" ]; then
        file=$(realpath -- "$file")
        [ -z "${SECRETS_FILE:-}" ] || SECRETS_FILE=$file
        COMPOSE+=(--env-file "$file")
    elif [ -n "${SECRETS_FILE:-}" ]; then
        die "SECRETS_FILE: $file does not exist"
    fi
    # As compose itself reads it: several are separated by colons, and folders are relative to the first.
    IFS=: read -ra files <<<"$COMPOSE_FILE"
    # Compose takes this one by itself, but only where no file is named.
    file=$(dirname "$COMPOSE_FILE")/docker-compose.override.yml
    if [ "$(basename "$COMPOSE_FILE")" = docker-compose.yml ] && [ -f "$file" ]; then files+=("$file"); fi
    for file in "${files[@]}"; do
        [ -f "$file" ] || die "COMPOSE_FILE: $file does not exist"
        absolute+=("$(realpath --no-symlinks -- "$file")")
        COMPOSE+=(--file "${absolute[-1]}")
    done
    COMPOSE_FILE=$(IFS=:; printf '%s' "${absolute[*]}")
    containers=$("${COMPOSE[@]}" ps --all --quiet 2>/dev/null) || die "$(compose_refusal)"
    PROJECT=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.project"}}' "${containers%%$'\n'*}" 2>/dev/null) || true
}

# Why compose does not take its files; names the variable that is missing.
compose_refusal() { printf 'compose refuses its files: %s' "$("${COMPOSE[@]}" config 2>&1 >/dev/null | tail -n 1)"; }

# The container of a service, whether it runs or not; nothing when there is none. By its label where compose made it (it may have been
# renamed), else by the name it has in docker-compose.monitoring.yml.
container_of() {
    if [ -n "$PROJECT" ]; then
        docker ps --all --quiet --no-trunc --filter label=com.docker.compose.oneoff=False \
            --filter "label=com.docker.compose.project=$PROJECT" --filter "label=com.docker.compose.service=$1" | head -n 1
    elif [ ${#COMPOSE[@]} -gt 0 ]; then
        "${COMPOSE[@]}" ps --all --quiet "$1" 2>/dev/null | head -n 1
    elif has docker; then
        docker inspect --format '{{.Id}}' "${1//-/_}" 2>/dev/null || true
    fi
}

# The folder of a database: below DATA_DIR, or where the container of COMPOSE_FILE has its own.
folder_of() {
    local id folder=
    if [ -z "${DATA_DIR:-}" ] && [ ${#COMPOSE[@]} -gt 0 ]; then
        id=$(container_of "${SERVICE_OF[$1]}")
        [ -z "$id" ] || folder=$(docker inspect --format '{{range .Mounts}}{{if eq .Destination "/app/data"}}{{.Source}}{{end}}{{end}}' "$id")
    fi
    printf '%s\n' "${folder:-${DATA_DIR:-$HERE/data}/$1}"
}

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
