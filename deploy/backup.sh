#!/usr/bin/env bash
# Backs up the databases while the services run.
#
# Usage: deploy/backup.sh [-h|--help] [errors|logs|metrics|browser-relay ...]      all of them when none is named
#
# BACKUP_DIR        where backups go          backups/ beside this script
# DATA_DIR          where the databases are   data/ beside this script
# RETENTION_COUNT   newest backups kept of each database, 7
# COMPRESS          1: with gzip
#
# A backup is one consistent state, checked before it gets its name: BACKUP_DIR/errors/errors_2026-01-20_100000.db. A run that
# breaks leaves no file that looks like one. With the host's sqlite3, or without it by the service's own --backup: the program of
# that name on this machine, or the one in its container.
#
# Exit code: 0 when all went well or there is nothing to back up, else 1; the others are backed up all the same.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lib.sh
. "$HERE/lib.sh"

BACKUP_DIR=${BACKUP_DIR:-$HERE/backups}
DATA_DIR=${DATA_DIR:-$HERE/data}
RETENTION_COUNT=${RETENTION_COUNT:-7}
COMPRESS=${COMPRESS:-0}
# How long sqlite3 waits for somebody's lock.
readonly LOCK_MS_MAX=30000
# What is written until it is whole.
partial=

remove_partial() { [ -z "$partial" ] || rm -f "$partial" "$partial-journal" "$partial-wal" "$partial-shm" "$partial.gz"; }
trap remove_partial EXIT

# Copies a database that may be in use.
copy() {
    local name=$1 source=$2 target=$3 service=${SERVICE_OF[$1]} container=${CONTAINER_OF[$1]}
    if has sqlite3; then
        # From one read transaction: writers neither wait nor make it begin again.
        sqlite3 -cmd ".timeout $LOCK_MS_MAX" "$source" "VACUUM INTO '${target//\'/\'\'}'" && check_integrity "$target"
    elif has "$service"; then
        DATABASE_PATH=$source "$service" --backup "$target"
    elif has docker && docker inspect "$container" >/dev/null 2>&1; then
        # It writes into its own volume, which is the folder of the source.
        local inside=".backup-$$.db"
        docker exec "$container" "/app/$service" --backup "/app/data/$inside" && mv "$(dirname "$source")/$inside" "$target"
    else
        say "WARNING: needs sqlite3, $service or the running container $container"
        return 1
    fi
}

# Deletes all but the newest.
prune() {
    local folder=$1 name=$2 old
    while IFS= read -r old; do
        say "Pruning $old"
        rm -f "$folder/$old"
    done < <(find "$folder" -maxdepth 1 -type f \( -name "${name}_*.db" -o -name "${name}_*.db.gz" \) -printf '%T@ %f\n' |
        sort -rn | tail -n "+$((RETENTION_COUNT + 1))" | cut -d' ' -f2-)
}

backup() {
    local name=$1 source=$DATA_DIR/$1/$1.db folder=$BACKUP_DIR/$1 target
    if [ ! -f "$source" ]; then
        say "SKIP: $source does not exist"
        return 0
    fi
    say "Backing up $name"
    mkdir -p "$folder" || return 1
    target=$folder/${name}_$(date +%Y-%m-%d_%H%M%S).db
    partial=$folder/.$name.partial
    remove_partial
    if ! copy "$name" "$source" "$partial"; then
        say "WARNING: $name was not backed up"
        remove_partial
        return 1
    fi
    if [ "$COMPRESS" = 1 ]; then
        gzip --force "$partial" || { remove_partial; return 1; }
        partial=$partial.gz target=$target.gz
    fi
    # On the disk before it has its name.
    if ! { sync "$partial" && mv "$partial" "$target"; }; then
        remove_partial
        return 1
    fi
    partial=
    say "OK: $name backed up successfully ($(du -h "$target" | cut -f1))"
    prune "$folder" "$name"
}

# To keep copies elsewhere, such as in S3, remove the # below and set S3_BUCKET:
# upload() { aws s3 sync "$BACKUP_DIR" "s3://$S3_BUCKET/monlight" --exclude '*/.*'; }

main() {
    local name failed=0 wanted=()
    for name in "$@"; do
        case $name in
            -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
        esac
        is_database "$name" || die "unknown database: $name; there are ${DATABASES[*]}"
        wanted+=("$name")
    done
    [[ $RETENTION_COUNT =~ ^[1-9][0-9]*$ ]] || die "RETENTION_COUNT: expected a number of 1 or more, got $RETENTION_COUNT"
    [ ${#wanted[@]} -gt 0 ] || wanted=("${DATABASES[@]}")
    mkdir -p "$BACKUP_DIR"
    # Two at once would write the same file.
    exec 9>"$BACKUP_DIR/.lock"
    flock -n 9 || die "another backup into $BACKUP_DIR is running"
    for name in "${wanted[@]}"; do
        backup "$name" || failed=$((failed + 1))
    done
    [ "$failed" = 0 ] || die "$failed of ${#wanted[@]} databases were not backed up"
    say "All backups completed successfully"
}

main "$@"
