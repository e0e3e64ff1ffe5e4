#!/usr/bin/env bash
# Upgrades the services of a compose file one after the other. What does not get healthy is put back as it was.
#
# Usage: deploy/upgrade.sh [--no-pull] [--no-backup] [--force] [-h|--help] [service ...]
#        deploy/upgrade.sh --rollback [--force] [service ...]
#
# Services are error-tracker, log-viewer, metrics-collector and browser-relay; all of them when none is named. Tags each running
# image `:rollback`, backs the databases up (backup.sh), pulls the sources (git), and then for each service builds or pulls its image,
# restarts it and asks its /health until it is healthy. One that does not get healthy gets its `:rollback` image again, and the database
# as it was if that was migrated meanwhile; then the upgrade stops.
#
#   --no-pull     take the sources as they are, and images that are not built here too
#   --no-backup   make no backup
#   --force       go on when the backup fails, and with the next service when one fails; with --rollback: put a migrated
#                 database back too. What came in since then is in a file beside it, and no longer shown
#   --rollback    put the `:rollback` images back
#
# COMPOSE_FILE      the compose file, docker-compose.monitoring.yml beside this script; several as compose takes them
# SECRETS_FILE      the file with its variables, secrets.env beside this script
# HEALTH_TIMEOUT    seconds a service may take to get healthy, 60
# HEALTH_INTERVAL   seconds between two looks, 5; the first ones are sooner
# BACKUP_DIR and what else backup.sh takes
#
# Ctrl-C lets the service that is being restarted get healthy, or back, and stops then.
#
# Exit code: 0 when all went well, else 1; 130 after Ctrl-C.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lib.sh
. "$HERE/lib.sh"

COMPOSE_FILE=${COMPOSE_FILE:-$HERE/docker-compose.monitoring.yml}
# So that backup.sh and restore.sh mean the same containers.
export COMPOSE_FILE
HEALTH_TIMEOUT=${HEALTH_TIMEOUT:-60}
HEALTH_INTERVAL=${HEALTH_INTERVAL:-5}
# A healthy service is so within a second: the pauses before the first looks.
readonly FIRST_PAUSES=(0.1 0.2 0.4 0.8)
readonly LOOK_SECONDS_MAX=5
# What a shell reports for a program ended by Ctrl-C.
readonly INTERRUPTED=130
# Docker starts anew what ends, ever more seldom: by then three seconds are over, and it will not get better.
readonly RESTARTS_MAX=5
# How much of what a command printed is shown when it fails.
readonly LINES_SHOWN=20 WORDS_SHOWN=12
# Beside each database, as old as its last upgrade: what was migrated since cannot be read by the version before.
readonly MARK=.before-upgrade
# What became of a service.
readonly DONE=0 PUT_BACK=3 NOT_PUT_BACK=4

pull=1 backup=1 force='' rollback=''
# The services in their order, and whether they were named.
wanted=() named=''
# What compose makes of its files; holds the keys, so it is kept in memory only.
config=
# Of each service: the image it ran at the beginning, that of :rollback then, the name that has now, whether :rollback is older than
# what ran, and how it ended.
declare -A image_before=() rollback_before=() rollback_name=() is_older=() outcome=()
commit_before=
# Whether a service is being exchanged, and whether somebody wants to stop.
exchanging='' interrupted=''

note() { say "$*" >&2 || true; }
quoted() {
    local words
    words=$(printf ' %q' "$@")
    printf '%s' "${words:1}"
}

# step TEXT COMMAND ...: one line, and what the command printed only if it failed.
step() {
    local output
    note "$1"
    shift
    # Without the lock: git may leave something in the background. Through a pipe: neither a full disk nor a lost terminal ends it.
    if output=$("$@" 2>&1 8<&- | tail -n "$LINES_SHOWN"); then return 0; fi
    show "$output"
    return 1
}

# What somebody else said.
show() { printf '    %s\n' "${1//$'\n'/$'\n'    }" >&2 || true; }

parse() {
    local word words=" "
    for word in "$@"; do
        case $word in
            --no-pull) pull= ;;
            --no-backup) backup= ;;
            --force) force=1 ;;
            --rollback) rollback=1 ;;
            -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
            *)
                [ -n "${DATABASE_OF["$word"]:-}" ] || die "unknown option or service: $word; services are ${SERVICES[*]}"
                named=1 words+="$word "
                ;;
        esac
    done
    for word in "${SERVICES[@]}"; do
        if [ -z "$named" ] || [[ $words == *" $word "* ]]; then wanted+=("$word"); fi
    done
}

# Looks whether all is there that will be needed, and touches nothing.
look() {
    local program output
    [[ $HEALTH_TIMEOUT =~ ^[1-9][0-9]*$ ]] || die "HEALTH_TIMEOUT: expected a number of seconds, got $HEALTH_TIMEOUT"
    [[ $HEALTH_INTERVAL =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "HEALTH_INTERVAL: expected a number of seconds, got $HEALTH_INTERVAL"
    for program in docker curl; do
        has "$program" || die "$program is missing"
    done
    output=$(docker version 2>&1) || die "the Docker Engine does not answer: ${output##*$'\n'}"
    find_compose
    read_config
}

read_config() { config=$("${COMPOSE[@]}" config 2>/dev/null) || die "$(compose_refusal)"; }

# What is configured for a service: the value, or `-` where it has parts of its own. Both composes print in this form.
configured() {
    printf '%s\n' "$config" | awk -v service="  $1:" -v key="$2:" '
        /^[^ ]/ { top = $1 }
        top == "services:" && /^  [^ ]/ { found = ($0 == service) }
        found && /^    [^ ]/ && $1 == key { gsub(/["'\'']/, "", $2); print $2 == "" ? "-" : $2 }'
}

about_container() { docker inspect --format "$2" "$1" 2>/dev/null; }
image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }

# The image that compose gives a service, by name.
image_of() {
    local image
    image=$(configured "$1" image)
    [ -n "$image" ] || image=$(about_container "$(container_of "$1")" '{{.Config.Image}}') || die "the compose files name no image of $1"
    printf '%s\n' "$image"
}

# An image's name with the tag `rollback`.
rollback_of() {
    local image=${1%%@*}
    [[ ${image##*/} != *:* ]] || image=${image%:*}
    printf '%s\n' "$image:rollback"
}

# The version of an image for people, as far as it says.
version_of() {
    local version
    version=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' "$1" 2>/dev/null) || true
    printf '%s (%.12s)' "${version:-unknown}" "${1#sha256:}"
}

# One look: by its published port as a client does, or, where none is published, with its own means.
is_healthy() {
    local id address
    id=$(container_of "$1")
    [ -n "$id" ] && [ "$(about_container "$id" '{{.State.Running}}')" = true ] || return 1
    address=$(about_container "$id" '{{range index .NetworkSettings.Ports "8000/tcp"}}{{.HostIp}} {{.HostPort}}{{"\n"}}{{end}}' | head -n 1)
    if [ -z "$address" ]; then
        docker exec "$id" "/app/$1" --healthcheck >/dev/null 2>&1
        return
    fi
    curl --silent --fail --noproxy '*' --output /dev/null --max-time "$LOOK_SECONDS_MAX" "http://$(reachable "$address")/health"
}

# `0.0.0.0 5010` is localhost:5010.
reachable() {
    local ip=${1% *} port=${1##* }
    case $ip in
        '' | 0.0.0.0 | ::) ip=localhost ;;
        *:*) ip=[$ip] ;;
    esac
    printf '%s\n' "$ip:$port"
}

wait_until_healthy() {
    local service=$1 started=$SECONDS look=0 id restarts restarts_before=''
    until is_healthy "$service"; do
        id=$(container_of "$service")
        restarts=$(about_container "$id" '{{.RestartCount}}') || restarts=0
        restarts_before=${restarts_before:-$restarts}
        if [ $((restarts - restarts_before)) -ge "$RESTARTS_MAX" ] || [ $((SECONDS - started)) -ge "$HEALTH_TIMEOUT" ]; then
            note "$service is not healthy after $((SECONDS - started)) s and $((restarts - restarts_before)) restarts; it said last:"
            show "$(docker logs --tail "$WORDS_SHOWN" "$id" 2>&1)"
            return 1
        fi
        mend_owner "$service" "$id"
        sleep "${FIRST_PAUSES[look]:-$HEALTH_INTERVAL}"
        look=$((look + 1))
    done
    note "$service is healthy"
}

# A service that may not write what is its own says which `chown` helps: the volumes of the original belong to root.
mend_owner() {
    local service=$1 id=$2 owner folder
    owner=$(docker logs --tail 1 "$id" 2>&1 | sed -n 's/.*run: chown -R \([0-9]*:[0-9]*\) \/app\/data$/\1/p')
    [ -n "$owner" ] || return 0
    folder=$(folder_of "${DATABASE_OF[$service]}")
    if docker info --format '{{.SecurityOptions}}' | grep -qE 'rootless|userns'; then
        # Its users are others outside, and only the operator knows which.
        note "$service cannot write $folder; make it belong to the user that is $owner inside the container"
    elif [ "$(id -u)" != 0 ]; then
        note "$service cannot write $folder; run: sudo chown -R $owner $folder"
    elif step "Making $folder belong to $owner, as $service asks" chown -R "$owner" "$folder"; then
        docker restart "$id" >/dev/null || true
    fi
}

# What compose has for the service now takes the place of what runs.
restart() {
    local service=$1
    if ! step "Restarting $service" "${COMPOSE[@]}" up --detach --no-deps --no-build "$service"; then
        [ "${COMPOSE[0]}" = docker-compose ] || return 1
        # 1.29 cannot replace a container whose image comes from a newer builder (KeyError: 'ContainerConfig').
        step "Once more, without the container of before" "${COMPOSE[@]}" rm --stop --force "$service" || return 1
        step "Starting $service" "${COMPOSE[@]}" up --detach --no-deps --no-build "$service" || return 1
    fi
    wait_until_healthy "$service"
}

mark_of() { printf '%s\n' "$(folder_of "${DATABASE_OF[$1]}")/$MARK"; }

# The copy that the service made of its database when it migrated it after the last upgrade.
copy_before_migration() {
    local name=${DATABASE_OF[$1]} mark
    mark=$(mark_of "$1")
    [ -f "$mark" ] || return 0
    find "$(dirname "$mark")" -maxdepth 1 -name "$name.db.before-schema-*" ! -name '*.unfinished' -newer "$mark" -printf '%T@ %p\n' |
        sort -n | head -n 1 | cut -d' ' -f2-
}

# The version before, and its database.
put_back() {
    local service=$1 image copy
    image=$(image_of "$service") || return 1
    copy=$(copy_before_migration "$service")
    if [ -n "$copy" ]; then
        step "Stopping $service: its database was migrated" "${COMPOSE[@]}" stop "$service" || return 1
        step "Putting back $copy; the migrated file is kept as *.before-restore-*" "$HERE/restore.sh" "${DATABASE_OF[$service]}" "$copy" || return 1
        # Only once: the version before goes on from there.
        rm -f "$(mark_of "$service")"
    fi
    step "Putting the image of before back: $(rollback_of "$image")" docker tag "$(rollback_of "$image")" "$image" || return 1
    restart "$service"
}

# Runs it in a process group of its own, which neither Ctrl-C nor a lost connection reaches: what is half exchanged must not stay so.
shielded() {
    local pid code
    exchanging=1
    set -m
    ("$@") &
    pid=$!
    set +m
    while true; do
        code=0
        wait "$pid" || code=$?
        # A signal ends the waiting, not the work.
        if [ "$code" -le "$NOT_PUT_BACK" ] || ! kill -0 "$pid" 2>/dev/null; then break; fi
        note "Stopping as soon as this service is done"
    done
    exchanging=''
    return "$code"
}

exchange() {
    local service=$1 image id rollback
    image=$(image_of "$service") || return "$NOT_PUT_BACK"
    id=$(image_id "$image")
    rollback=$(rollback_of "$image")
    if [ "$id" = "${image_before[$service]:-}" ]; then
        # Nothing new: what can be put back stays the version before this one.
        [ -z "${rollback_before[$service]:-}" ] || docker tag "${rollback_before[$service]}" "$rollback"
    elif [ -n "${image_before[$service]:-}" ] && [ -z "${is_older[$service]:-}" ]; then
        # The sources may give it another name than it had.
        [ "$rollback" = "${rollback_name[$service]}" ] || docker tag "${rollback_name[$service]}" "$rollback"
        touch "$(mark_of "$service")" || note "WARNING: a database that is migrated now is not put back by --rollback"
    fi
    if restart "$service"; then return "$DONE"; fi
    if [ -z "${image_before[$service]:-}" ] || { [ "$id" = "${image_before[$service]}" ] && [ -z "${is_older[$service]:-}" ]; }; then
        note "There is no other version of $service to put back"
        return "$NOT_PUT_BACK"
    fi
    if put_back "$service"; then return "$PUT_BACK"; fi
    return "$NOT_PUT_BACK"
}

tag_running() {
    local service id image
    for service in "${wanted[@]}"; do
        id=$(container_of "$service")
        if [ -z "$id" ]; then
            note "$service has no container yet"
            continue
        fi
        image_before[$service]=$(about_container "$id" '{{.Image}}')
        image=$(rollback_of "$(about_container "$id" '{{.Config.Image}}')")
        rollback_name[$service]=$image
        rollback_before[$service]=$(image_id "$image") || true
        # After an upgrade that was killed, what can be put back is still the one of before it.
        if [ -n "${rollback_before[$service]}" ] && ! is_healthy "$service"; then
            note "WARNING: $service is not healthy now, so $image stays $(version_of "${rollback_before[$service]}")"
            is_older[$service]=1
            continue
        fi
        step "Tagging what runs: $image is $(version_of "${image_before[$service]}")" docker tag "${image_before[$service]}" "$image" ||
            die "nothing was changed"
    done
}

back_up() {
    local service names=()
    for service in "${wanted[@]}"; do
        [ -z "${image_before[$service]:-}" ] || names+=("${DATABASE_OF[$service]}")
    done
    if [ -z "$backup" ] || [ ${#names[@]} = 0 ]; then
        note "WARNING: no backup is made"
    elif [ ! -x "$HERE/backup.sh" ]; then
        note "WARNING: no backup is made: $HERE/backup.sh cannot be executed"
    elif ! "$HERE/backup.sh" "${names[@]}" >&2 8<&-; then
        [ -n "$force" ] || die "the backup failed; nothing was changed. --force goes on, --no-backup makes none"
        note "WARNING: going on without a backup"
    fi
}

pull_sources() {
    [ -n "$pull" ] || return 0
    step "Pulling the sources" git -C "$HERE" pull --ff-only ||
        die "git pull failed; nothing was changed. --no-pull takes the sources as they are"
    note "Commit now: $(git -C "$HERE" rev-parse --short HEAD)"
    # They may ask for more variables than before.
    read_config
}

get_image() {
    local service=$1
    if [ -n "$(configured "$service" build)" ]; then
        step "Building $service" "${COMPOSE[@]}" build "$service"
    elif [ -n "$pull" ]; then
        step "Pulling the image of $service" "${COMPOSE[@]}" pull "$service"
    fi
}

upgrade_one() {
    local service=$1 code=0
    if ! get_image "$service"; then
        outcome[$service]="FAILED: there is no new image, it was not touched"
        return 1
    fi
    shielded exchange "$service" || code=$?
    case $code in
        "$DONE") outcome[$service]="runs $(running "$service")" ;;
        "$PUT_BACK") outcome[$service]="FAILED: runs the version before again, $(running "$service")" ;;
        *) outcome[$service]="FAILED: is not healthy" ;;
    esac
    [ -z "${image_before[$service]:-}" ] || touched+=("$service")
    return "$code"
}

running() { version_of "$(about_container "$(container_of "$1")" '{{.Image}}')"; }

# One that got healthy may have ended since.
look_again() {
    local service
    for service in "${wanted[@]}"; do
        if [[ ${outcome[$service]:-} == runs* ]] && ! is_healthy "$service"; then
            outcome[$service]="FAILED: got healthy, and is so no longer"
            failed=$((failed + 1))
        fi
    done
}

summarize() {
    local service
    for service in "${wanted[@]}"; do
        printf '%s: %s\n' "$service" "${outcome[$service]:-was not touched}"
    done
}

# The commands for the services of this run; where a database is back already, it is not put back once more.
print_rollback() {
    local service image copy name forced=() settings=(env)
    for name in COMPOSE_FILE COMPOSE_PROJECT_NAME SECRETS_FILE; do
        [ -z "${!name:-}" ] || settings+=("$name=${!name}")
    done
    printf '\nTo put the versions of before back:\n'
    if [ -n "$pull" ] && [ "$(git -C "$HERE" rev-parse HEAD)" != "$commit_before" ]; then
        printf '  %s\n' "$(quoted git -C "${HERE%/*}" checkout "$commit_before")"
    fi
    for service in "$@"; do
        image=$(image_of "$service")
        copy=$(copy_before_migration "$service")
        if [ -n "$copy" ]; then
            forced=(--force)
            printf '  %s\n' "$(quoted "${COMPOSE[@]}" stop "$service")"
            printf '  %s\n' "$(quoted "${settings[@]}" "$HERE/restore.sh" "${DATABASE_OF[$service]}" "$copy")"
        fi
        printf '  %s\n' "$(quoted docker tag "$(rollback_of "$image")" "$image")"
        printf '  %s\n' "$(quoted "${COMPOSE[@]}" up --detach --no-deps --no-build "$service")"
    done
    printf 'or, for all but the checkout:\n  %s\n' "$(quoted "${settings[@]}" "$HERE/upgrade.sh" --rollback "${forced[@]}" "$@")"
}

upgrade() {
    local service touched=() failed=0
    commit_before=$(git -C "$HERE" rev-parse HEAD 2>/dev/null) || commit_before=unknown
    note "Commit before: $commit_before"
    tag_running
    back_up
    pull_sources
    for service in "${wanted[@]}"; do
        [ -z "$interrupted" ] || break
        if ! upgrade_one "$service"; then
            failed=$((failed + 1))
            [ -n "$force" ] || break
            note "WARNING: going on with the next service"
        fi
    done
    look_again
    summarize
    if [ "$failed" != 0 ] || [ -n "$interrupted" ]; then
        [ ${#touched[@]} = 0 ] || print_rollback "${touched[@]}"
        [ -z "$interrupted" ] || exit "$INTERRUPTED"
        die "$failed of ${#wanted[@]} services failed"
    fi
    note "All services are upgraded"
}

# From the last to the first: the relay must not be newer than what it sends to.
roll_back() {
    local service image copy index failed=0 backwards=()
    for ((index = ${#wanted[@]} - 1; index >= 0; index--)); do
        service=${wanted[index]}
        image=$(rollback_of "$(image_of "$service")")
        if [ -z "$(image_id "$image")" ]; then
            [ -z "$named" ] || die "there is no image $image; nothing was changed"
            outcome[$service]="was not touched: there is no image $image"
            continue
        fi
        copy=$(copy_before_migration "$service")
        if [ -n "$copy" ] && [ -z "$force" ]; then
            die "$service has migrated its database since, and the version before cannot read it; nothing was changed." \
                "--rollback --force puts the copy of $(date --reference "$copy" '+%Y-%m-%d %H:%M:%S') back, $copy;" \
                "what came in since then is kept in a file beside it, and no longer shown"
        fi
        backwards+=("$service")
    done
    [ ${#backwards[@]} -gt 0 ] || die "there is no image to put back; nothing was changed"
    for service in "${backwards[@]}"; do
        [ -z "$interrupted" ] || break
        image=$(rollback_of "$(image_of "$service")")
        if [ "$(about_container "$(container_of "$service")" '{{.Image}}')" = "$(image_id "$image")" ] && is_healthy "$service"; then
            outcome[$service]="runs $(running "$service") already"
        elif shielded put_back "$service"; then
            outcome[$service]="runs $(running "$service")"
        else
            outcome[$service]="FAILED: is not healthy"
            failed=$((failed + 1))
            [ -n "$force" ] || break
        fi
    done
    summarize
    [ -z "$interrupted" ] || exit "$INTERRUPTED"
    [ "$failed" = 0 ] || die "$failed of ${#backwards[@]} services failed"
}

# What is being exchanged is brought to an end; anything else may be broken off at any moment.
interrupt() {
    interrupted=1
    [ -z "$exchanging" ] || return 0
    note "Stopped; no service is left half exchanged"
    exit "$INTERRUPTED"
}

main() {
    parse "$@"
    # Whoever reads what is said may end before.
    trap '' PIPE
    has flock || die "flock is missing"
    # The folder itself, so that there is no file to leave behind. The one who exchanges a service holds it too. Before the look:
    # compose knows nothing for sure while another exchanges a container.
    exec 8<"$HERE"
    flock --nonblock 8 || die "another upgrade is running"
    look
    trap interrupt INT TERM HUP
    if [ -n "$rollback" ]; then roll_back; else upgrade; fi
}

main "$@"
