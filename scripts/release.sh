#!/usr/bin/env bash
# Releases parts of this repository: sets the version, closes the changelog, commits, tags, and pushes main and the tags.
# What then happens with a tag is in .github/workflows.
# Usage: scripts/release.sh release PART VERSION    PART: error-tracker, log-viewer, metrics-collector, browser-relay,
#                                                   python, js, services (the first four) or all (the six)
#        scripts/release.sh versions                the six versions
#        scripts/release.sh check-version VERSION   whether it is one that can be released
#        scripts/release.sh check-clean             whether everything is committed
#        scripts/release.sh check-tag TAG           whether it names the version in the manifest; prints PART VERSION
#        scripts/release.sh notes TAG               what the changelog says of it
#   DRY_RUN=1    only shows what `release` would commit and push; changes nothing here or there
#   REMOTE       the repository that is pushed to (origin)
set -euo pipefail
shopt -s inherit_errexit

readonly SERVICES=(error-tracker log-viewer metrics-collector browser-relay)
readonly PARTS=("${SERVICES[@]}" python js)
readonly BRANCH=main
readonly CHANGELOG=CHANGELOG.md
# Their sections in the changelog; a service's has its name. The common ones belong to all services.
declare -rA CLIENT_SECTION=([python]="Python client" [js]="Browser client")
readonly COMMON_SECTIONS=("All services" Documentation Deployment)
declare -rA CLIENT_CHANGELOG=([python]=clients/python/CHANGELOG.md [js]=clients/js/CHANGELOG.md)

say() { printf '%s\n' "$*" >&2; }
die() {
    say "release: $*"
    exit 1
}

is_one_of() {
    local word=$1 each
    shift
    for each in "$@"; do [ "$each" = "$word" ] && return 0; done
    return 1
}

# The parts that a name stands for, one a line.
parts_of() {
    case $1 in
        services) printf '%s\n' "${SERVICES[@]}" ;;
        all) printf '%s\n' "${PARTS[@]}" ;;
        *)
            is_one_of "$1" "${PARTS[@]}" || die "part: expected one of ${PARTS[*]} services all, got '$1'"
            printf '%s\n' "$1"
            ;;
    esac
}

# The version in a part's manifest.
version_of() {
    local version
    case $1 in
        python) version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' clients/python/src/monlight/__init__.py) ;;
        js) version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' clients/js/package.json) ;;
        *) version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$1/Cargo.toml") ;;
    esac
    [ -n "$version" ] || die "$1: there is no version in its manifest"
    printf '%s\n' "$version"
}

# All places where it is written.
set_version() {
    local part=$1 version=$2
    case $part in
        python) sed -i "s/^__version__ = \".*\"$/__version__ = \"$version\"/" clients/python/src/monlight/__init__.py ;;
        js)
            sed -i "s/^  \"version\": \".*\",$/  \"version\": \"$version\",/" clients/js/package.json clients/js/package-lock.json
            # The package itself among those that are locked.
            sed -i "/^    \"\": {$/,/^    }/s/^      \"version\": \".*\",$/      \"version\": \"$version\",/" clients/js/package-lock.json
            ;;
        *)
            sed -i "s/^version = \".*\"$/version = \"$version\"/" "$part/Cargo.toml"
            sed -i "/^name = \"$part\"$/{n;s/^version = \".*\"$/version = \"$version\"/}" Cargo.lock fuzz/Cargo.lock
            sed -i "s/^  version: .*$/  version: $version/" "docs/openapi/$part.yaml"
            ;;
    esac
    [ "$(version_of "$part")" = "$version" ] || die "$part: its version could not be set"
}

# Without a suffix: those are for tags made by hand.
check_version() {
    [[ $1 =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]] || die "version: expected V=MAJOR.MINOR.PATCH, got '$1'"
}

check_clean() {
    local changes
    changes=$(git status --porcelain)
    [ -z "$changes" ] || die "expected a clean tree, commit or remove first:"$'\n'"$changes"
}

# Whether the first version comes before the second.
is_before() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort --version-sort | head -n 1)" = "$1" ]; }

# Whether what would be released is what everybody sees on the remote's main.
check_branch() {
    local branch there
    branch=$(git branch --show-current)
    [ "$branch" = "$BRANCH" ] || die "expected branch $BRANCH, this is '${branch:-no branch}'"
    there=$(git ls-remote --exit-code "$REMOTE" "refs/heads/$BRANCH" | cut -f 1) || die "$REMOTE has no branch $BRANCH, or cannot be reached"
    if [ "$there" = "$(git rev-parse HEAD)" ]; then return 0; fi
    if git merge-base --is-ancestor "$there" HEAD 2>/dev/null; then
        die "$BRANCH is ahead of $REMOTE: push it first, so that what is released has been tested"
    fi
    die "$REMOTE has commits that are not here: git pull --rebase $REMOTE $BRANCH"
}

# All tags, here and there.
known_tags() {
    git tag --list
    git ls-remote --refs "$REMOTE" 'refs/tags/*' | sed 's|^.*refs/tags/||'
}

# Whether the version is a new one, by the tags there are.
check_new() {
    local part=$1 version=$2 tags=$3 newest manifest
    newest=$(sed -n "s/^$part-v\([0-9.]*\)$/\1/p" <<<"$tags" | sort --version-sort | tail -n 1)
    if [ "$newest" = "$version" ]; then die "tag $part-v$version exists"; fi
    if [ -n "$newest" ] && is_before "$version" "$newest"; then die "$part: expected a version after $newest, got $version"; fi
    manifest=$(version_of "$part")
    # One that was prepared with a suffix comes before the release of that name.
    if is_before "$version" "${manifest%%-*}"; then die "$part: expected at least $manifest, which its manifest has, got $version"; fi
}

# The titles of its sections in the changelog, in bars; `*` for all there are.
sections_of() {
    case $1 in
        all) echo '*' ;;
        services) printf '|%s' "${SERVICES[@]}" "${COMMON_SECTIONS[@]}" && echo '|' ;;
        python | js) echo "|${CLIENT_SECTION[$1]}|" ;;
        *) echo "|$1|" ;;
    esac
}

# Moves sections of "Unreleased" below a heading of their own. If there is none to move, the third argument stands there.
close_changelog() {
    local heading=$1 sections=$2 otherwise=$3 closed
    closed=$(awk -v heading="$heading" -v sections="$sections" -v otherwise="$otherwise" '
        function trimmed(text) { gsub(/^\n+|\n+$/, "", text); return text }
        function close_it() {
            if (trimmed(kept) != "") print "\n" trimmed(kept)
            moved = trimmed(moved) != "" ? trimmed(moved) : otherwise
            print "\n## " heading "\n\n" moved "\n"
            is_open = 0
        }
        /^## / && is_open { close_it() }
        $0 == "## Unreleased" { print; is_open = 1; moves = sections == "*"; next }
        is_open && /^### / { moves = sections == "*" || index(sections, "|" substr($0, 5) "|") }
        is_open { if (moves) moved = moved $0 "\n"; else kept = kept $0 "\n"; next }
        { print }
        END { if (is_open) close_it(); exit moved == "" }
    ' "$CHANGELOG") || die "$CHANGELOG: expected a section below 'Unreleased' that says what is new"
    printf '%s\n' "$closed" >"$CHANGELOG"
}

# A client has a changelog of its own, whose headings are versions alone. What is new there is below this version, "Unreleased",
# or a version that was prepared but never released. Exit code 1 if it has none of them.
close_client_changelog() {
    local file=$1 version=$2 prepared=$3 heading
    for heading in "$version" Unreleased "$prepared"; do
        if grep --quiet --line-regexp --fixed-strings "## $heading" "$file"; then
            sed -i "s/^## ${heading//./\\.}$/## $version/" "$file"
            return 0
        fi
    done
    return 1
}

# Writes everything that belongs to the release, here.
write() {
    local name=$1 version=$2 tags=$3 part prepared heading="" otherwise=""
    shift 3
    for part in "$@"; do
        prepared=$(version_of "$part")
        if grep --quiet --line-regexp --fixed-strings "$part-v$prepared" <<<"$tags"; then prepared=; fi
        set_version "$part" "$version"
        heading+="${heading:+, }$part $version"
        if [ -n "${CLIENT_CHANGELOG[$part]:-}" ] && ! close_client_changelog "${CLIENT_CHANGELOG[$part]}" "$version" "$prepared"; then
            [ "$name" = all ] || die "${CLIENT_CHANGELOG[$part]}: expected a section 'Unreleased' or '$version' that says what is new"
            sed -i "0,/^## /s/^## /## $version\n\nReleased together with the services; nothing of its own changed.\n\n&/" "${CLIENT_CHANGELOG[$part]}"
        fi
    done
    if [ -n "${CLIENT_CHANGELOG[$name]:-}" ]; then otherwise="See [its changelog](${CLIENT_CHANGELOG[$name]})."; fi
    close_changelog "$(date --utc +%F): $heading" "$(sections_of "$name")" "$otherwise"
}

# A copy where the release is made, so that whatever fails leaves nothing behind in the checkout.
copy_checkout() {
    local copy=$1
    git clone --quiet --shared --no-tags --origin checkout . "$copy"
    # Who commits, how it is signed, where the remote is: as here.
    git -C "$copy" config include.path "$(git rev-parse --path-format=absolute --git-path config)"
}

release() {
    local name=$1 version=$2 parts part listed known copy tag tags=() failed=()
    # Not in one command with `mapfile`, which would hide its failure.
    listed=$(parts_of "$name")
    mapfile -t parts <<<"$listed"
    check_version "$version"
    git var GIT_COMMITTER_IDENT >/dev/null
    check_clean
    check_branch
    known=$(known_tags)
    for part in "${parts[@]}"; do
        check_new "$part" "$version" "$known"
        tags+=("$part-v$version")
    done

    copy=$(mktemp --directory)
    # shellcheck disable=SC2064 # The folder is known now.
    trap "rm -rf '$copy'" EXIT
    copy_checkout "$copy"
    pushd "$copy" >/dev/null
    write "$name" "$version" "$known" "${parts[@]}"
    git commit --quiet --all --message "release: $name $version"
    for part in "${parts[@]}"; do git tag --annotate "$part-v$version" --message "$part $version"; done

    if [ "${DRY_RUN:-0}" != 0 ]; then
        git --no-pager show --format='would commit: %s%n'
        git push --quiet --dry-run "$REMOTE" "HEAD:refs/heads/$BRANCH"
        printf '\nwould push to %s: %s\n' "$(git remote get-url --push "$REMOTE")" "$BRANCH ${tags[*]}"
        return
    fi
    git push --quiet "$REMOTE" "HEAD:refs/heads/$BRANCH" || die "$REMOTE did not take $BRANCH; nothing was changed"
    popd >/dev/null
    git fetch --quiet "$copy" "refs/heads/$BRANCH" 'refs/tags/*:refs/tags/*'
    git merge --quiet --ff-only "$(git -C "$copy" rev-parse HEAD)"
    git fetch --quiet "$REMOTE" "$BRANCH"
    # One by one: of more than three tags that come at once, GitHub tells no workflow.
    for tag in "${tags[@]}"; do
        git push --quiet "$REMOTE" "refs/tags/$tag" || failed+=("$tag")
    done
    if [ ${#failed[@]} -gt 0 ]; then
        die "$BRANCH is pushed, but not ${failed[*]}; when the cause is gone, one by one: git push $REMOTE TAG"
    fi
    say "released: ${tags[*]}"
}

versions() {
    local part version
    for part in "${PARTS[@]}"; do
        version=$(version_of "$part")
        printf '%-17s %s\n' "$part" "$version"
    done
}

# For workflows: a tag that is not the manifest's version would release something else than it says.
check_tag() {
    local part=${1%-v*} version=${1##*-v} manifest
    is_one_of "$part" "${PARTS[@]}" || die "tag: expected PART-vVERSION of ${PARTS[*]}, got '$1'"
    manifest=$(version_of "$part")
    [ "$manifest" = "$version" ] || die "tag $1: expected $part-v$manifest, the version in its manifest"
    printf '%s %s\n' "$part" "$version"
}

notes() {
    local checked part version sections
    checked=$(check_tag "$1")
    read -r part version <<<"$checked"
    sections=$(sections_of "$part")
    if is_one_of "$part" "${SERVICES[@]}"; then sections+=$(printf '%s|' "${COMMON_SECTIONS[@]}"); fi
    awk -v release="$part $version" -v sections="$sections" '
        /^## / { is_it = index($0 ",", " " release ","); says = 0 }
        is_it && /^### / { says = index(sections, "|" substr($0, 5) "|") }
        says { text = text $0 "\n" }
        END { sub(/\n+$/, "", text); print text != "" ? text : "Nothing of its own changed." }
    ' "$CHANGELOG"
}

main() {
    cd "$(dirname "$0")/.."
    REMOTE=${REMOTE:-origin}
    case ${1:-} in
        release) release "${2:?part}" "${3:-}" ;;
        versions) versions ;;
        check-version) check_version "${2:-}" ;;
        check-clean) check_clean ;;
        check-tag) check_tag "${2:?tag}" ;;
        notes) notes "${2:?tag}" ;;
        *) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
}

main "$@"
