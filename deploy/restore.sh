#!/usr/bin/env bash
# Puts a backup in place of a database. The service must be stopped; what was there is kept beside it.
#
# Usage: deploy/restore.sh [-h|--help] errors|logs|metrics|browser-relay [FILE]
#
# FILE is a backup as backup.sh makes them (.db or .db.gz); without it the newest of that database.
#
# BACKUP_DIR     where backups are         backups/ beside this script
# DATA_DIR       where the databases are   data/ beside this script
# COMPOSE_FILE   instead: where the containers of this compose file have them, such as in the volumes of docker-compose.yml
# SECRETS_FILE   the variables of that file, secrets.env beside this script
#
# Exit code: 0 when the database is restored, else 1, and nothing was changed.
set -euo pipefail
# What is in the databases is nobody else's business.
umask 077

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lib.sh
. "$HERE/lib.sh"

BACKUP_DIR=${BACKUP_DIR:-$HERE/backups}
partial=
trap '[ -z "$partial" ] || rm -f "$partial"' EXIT

newest() {
    find "$BACKUP_DIR/$1" -maxdepth 1 -type f \( -name "$1_*.db" -o -name "$1_*.db.gz" \) -printf '%T@ %p\n' 2>/dev/null |
        sort -rn | head -n 1 | cut -d' ' -f2-
}

main() {
    local name=${1:-} file=${2:-} target folder aside suffix
    case $name in
        -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
    esac
    is_database "$name" || die "expected one of ${DATABASES[*]}, got '${name}'"
    [ -n "$file" ] || file=$(newest "$name")
    [ -n "$file" ] || die "there is no backup of $name in $BACKUP_DIR"
    [ -f "$file" ] || die "$file does not exist"
    [ -n "${DATA_DIR:-}" ] || [ -z "${COMPOSE_FILE:-}" ] || find_compose
    folder=$(folder_of "$name")
    target=$folder/$name.db
    [ -d "$folder" ] || die "$folder does not exist"
    # The service holds this lock as long as it runs.
    exec 9>>"$target.lock"
    flock -n 9 || die "the service of $name is running; stop it first, such as with: docker stop ${SERVICE_OF[$name]//-/_}"

    say "Checking $file"
    partial=$folder/.$name.restoring
    case $file in
        *.gz) gunzip --stdout "$file" >"$partial" || die "$file cannot be unpacked" ;;
        *) cp "$file" "$partial" ;;
    esac
    if has sqlite3; then
        check_integrity "$partial" || die "$file is not a sound database"
    else
        say "WARNING: not checked: there is no sqlite3 here"
    fi
    # A new file belongs to whom the folder belongs to; made by root, the service could not write it.
    chown --reference="$folder" "$partial" "$target.lock" 2>/dev/null || say "WARNING: $target gets another owner than $folder"
    aside=$target.before-restore-$(date +%Y-%m-%d_%H%M%S)
    # What was committed last may be in the -wal file alone.
    for suffix in '' -wal -shm; do
        if [ -f "$target$suffix" ]; then
            mv "$target$suffix" "$aside$suffix"
            say "What was there is kept as $aside$suffix"
        fi
    done
    sync "$partial"
    mv "$partial" "$target"
    sync "$folder"
    partial=
    say "OK: $name is restored from $file; start the service again"
}

main "$@"
