#!/usr/bin/env bash
# Runs a command of soak/ with a network, disks and processes of its own: no port, mount or process of the machine is
# touched, and nothing outlives the command.
# Usage: scripts/soak.sh COMMAND [ARGUMENT ...]      python -m soak --help
set -euo pipefail

say() { printf 'soak: %s\n' "$*" >&2; }

# As the first process of the new namespaces: when it ends, the kernel ends all others.
inside() {
    ip link set lo up
    export PATH=${MONLIGHT_VENV:-$PWD/.venv}/bin:$PATH PYTHONDONTWRITEBYTECODE=1
    export PYTHONPATH=$PWD:$PWD/clients/python/src
    "$@"
}

main() {
    [ $# -gt 0 ] || { say 'usage: scripts/soak.sh COMMAND [ARGUMENT ...]'; exit 2; }
    cd "$(dirname "$0")/.."
    if [ "$1" = --inside ]; then
        shift
        inside "$@"
        return
    fi
    local own=(unshare --net --mount --pid --fork --kill-child --mount-proc)
    if [ "$(id -u)" != 0 ]; then
        own+=(--user --map-root-user)
    fi
    if ! "${own[@]}" true 2>/dev/null; then
        say 'NOT run: it needs root, or a kernel that gives everybody namespaces'
        [ "${CI:-}" != true ]
        return
    fi
    # Not even SIGKILL leaves anything behind.
    setpriv --pdeathsig KILL -- "${own[@]}" -- scripts/soak.sh --inside "$@"
}

main "$@"
