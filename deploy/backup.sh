#!/usr/bin/env bash
# Backs up the databases while the services run.
#
# Usage: deploy/backup.sh [-h|--help] [errors|logs|metrics|browser-relay ...]      all of them when none is named
#
# BACKUP_DIR        where backups go          backups/ beside this script
# DATA_DIR          where the databases are   data/ beside this script
# COMPOSE_FILE      instead: where the containers of this compose file have them, such as in the volumes of docker-compose.yml
# SECRETS_FILE      the variables of that file, secrets.env beside this script
# RETENTION_COUNT   newest backups kept of each database, 7
# COMPRESS          1: with gzip
#
# A backup is one consistent state, checked before it gets its name: BACKUP_DIR/errors/errors_2026-01-20_100000.db. A run that
# breaks leaves no file that looks like one. With the host's sqlite3, or without it by the service's own --backup: the program of
# that name on this machine, or the one in its container.
#
# Exit code: 0 when all went well. 1 when one failed, the others being backed up all the same, or when there was none at all.
set -euo pipefail
# What is in the databases is nobody else's business.
umask 077

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lib.sh
. "$HERE/lib.sh"

BACKUP_DIR=${BACKUP_DIR:-$HERE/backups}
RETENTION_COUNT=${RETENTION_COUNT:-7}
COMPRESS=${COMPRESS:-0}
# How long sqlite3 waits for somebody's lock.
readonly LOCK_MS_MAX=30000
# What a service makes beside its database for a moment; the next one takes its place should it be left over.
readonly COPY_INSIDE=.backup.db
# What is written until it is whole.
partial=
# How many databases there are.
found=0

remove_partial() { [ -z "$partial" ] || rm -f "$partial" "$partial-journal" "$partial-wal" "$partial-shm" "$partial.gz"; }
trap remove_partial EXIT

# Copies a database that may be in use.
copy() {
    local source=$2 target=$3 service=${SERVICE_OF[$1]} container
    if has sqlite3; then
        # From one read transaction: writers neither wait nor make it begin again.
        if sqlite3 -cmd ".timeout $LOCK_MS_MAX" "$source" "VACUUM INTO '${target//\'/\'\'}'" && check_integrity "$target"; then
            return 0
        fi
        # It may be older than what the service uses.
        rm -f "$target"
    fi
    if has "$service"; then
        DATABASE_PATH=$source "$service" --backup "$target"
        return
    fi
    container=$(container_of "$service")
    # The original takes no arguments: asked for a backup it would start a second time.
    if [ -z "$container" ] || [ "$(docker inspect --format '{{index .Config.Labels "org.opencontainers.image.vendor"}}' "$container")" != Monlight ]; then
        say "WARNING: it takes a sqlite3 that reads $source, or $service or its container"
        return 1
    fi
    # It writes into its own volume, which is the folder of the source.
    docker exec "$container" "/app/$service" --backup "/app/data/$COPY_INSIDE" && mv "$(dirname "$source")/$COPY_INSIDE" "$target"
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
    local name=$1 source folder=$BACKUP_DIR/$1 target
    source=$(folder_of "$name")/$name.db
    if [ ! -f "$source" ]; then
        say "SKIP: $source does not exist"
        return 0
    fi
    found=$((found + 1))
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
    if ! { sync "$partial" && mv "$partial" "$target" && sync "$folder"; }; then
        remove_partial
        return 1
    fi
    partial=
    say "OK: $name backed up successfully ($(du -h "$target" | cut -f1))"
    prune "$folder" "$name"
}

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
    [ -n "${DATA_DIR:-}" ] || [ -z "${COMPOSE_FILE:-}" ] || find_compose
    mkdir -p "$BACKUP_DIR"
    # Two at once would write the same file.
    exec 9>"$BACKUP_DIR/.lock"
    flock -n 9 || die "another backup into $BACKUP_DIR is running"
    for name in "${wanted[@]}"; do
        backup "$name" || failed=$((failed + 1))
    done
    # To keep the backups elsewhere too, such as in S3, set S3_BUCKET and remove the # of these lines:
    # aws s3 sync "$BACKUP_DIR" "s3://$S3_BUCKET/monlight" --exclude '*' --include '*/*_*.db' --include '*/*_*.db.gz' ||
    #     die "the backups were not copied to s3://$S3_BUCKET"
    [ "$failed" = 0 ] || die "$failed of ${#wanted[@]} databases were not backed up"
    [ "$found" != 0 ] || die "nothing was backed up: there is no database; see DATA_DIR and COMPOSE_FILE in --help"
    say "All backups completed successfully"
}

main "$@"
