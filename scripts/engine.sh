#!/usr/bin/env bash
# Runs a command with a Docker Engine of its own, and removes both when the command ends.
# The engine lives in namespaces of its own: it touches no other engine, firewall or port of the machine, and nothing
# of it outlives this script, however that ends. Published ports are reached by the command only.
# Usage: scripts/engine.sh COMMAND [ARGUMENT ...]
#   ENGINE_FOLDER  where it keeps everything; a temporary folder when unset
# Exit code: the command's, or 69 where no engine can work.
set -euo pipefail

readonly UNAVAILABLE=69
readonly START_SECONDS_MAX=60
readonly NAMESPACES=(--net --mount --pid --fork --kill-child --mount-proc)

say() { printf 'engine: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

check_machine() {
    local program
    for program in dockerd docker iptables ip setpriv unshare; do
        if ! has "$program"; then
            say "$program is missing (scripts/setup.sh test installs it)"
            exit "$UNAVAILABLE"
        fi
    done
    if [ "$(id -u)" != 0 ]; then
        say "it needs root"
        exit "$UNAVAILABLE"
    fi
    if ! unshare "${NAMESPACES[@]}" -- true; then
        say "this machine gives no namespaces; it may be a container itself"
        exit "$UNAVAILABLE"
    fi
}

stop_engine() {
    local containers
    read -ra containers <<<"$(docker ps --all --quiet | tr '\n' ' ')"
    if [ ${#containers[@]} -gt 0 ]; then
        docker rm --force "${containers[@]}" >/dev/null || say "containers could not be removed"
    fi
    kill "$1"
    # Its exit code says nothing that the command's does not.
    wait "$1" || true
}

# As the first process of the new namespaces: when it ends, the kernel ends all others.
run_inside() {
    local folder=$1 daemon deadline code=0
    shift
    ip link set lo up
    export DOCKER_HOST=unix://$folder/docker.sock
    # A client's configuration is not the machine's business here, and it keeps what it caches below this folder.
    export DOCKER_CONFIG=$folder/client
    # Debian's docker.io has no other builder.
    export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0
    dockerd --host="$DOCKER_HOST" --data-root="$folder/data" --exec-root="$folder/exec" --pidfile="$folder/docker.pid" \
        >"$folder/dockerd.log" 2>&1 &
    daemon=$!
    deadline=$((SECONDS + START_SECONDS_MAX))
    until docker version >/dev/null 2>&1; do
        if ! kill -0 "$daemon" 2>/dev/null || [ "$SECONDS" -gt "$deadline" ]; then
            say "dockerd did not start:"
            tail -n 20 "$folder/dockerd.log" >&2
            return "$UNAVAILABLE"
        fi
        sleep 0.05
    done
    if [ "$(docker info --format '{{.MemoryLimit}}')" != true ]; then
        say "containers would have no memory limit here: there is no memory cgroup"
        stop_engine "$daemon"
        return "$UNAVAILABLE"
    fi
    "$@" || code=$?
    stop_engine "$daemon"
    return "$code"
}

main() {
    [ $# -gt 0 ] || { say "usage: scripts/engine.sh COMMAND [ARGUMENT ...]"; exit 2; }
    if [ "$1" = --inside ]; then
        shift
        run_inside "$@"
        return
    fi
    check_machine
    local folder=${ENGINE_FOLDER:-}
    if [ -z "$folder" ]; then
        folder=$(mktemp --directory)
        # shellcheck disable=SC2064 # The folder is known now.
        trap "rm -rf '$folder'" EXIT
    fi
    # Not even SIGKILL leaves anything behind.
    setpriv --pdeathsig KILL -- unshare "${NAMESPACES[@]}" -- "$0" --inside "$folder" "$@"
}

main "$@"
