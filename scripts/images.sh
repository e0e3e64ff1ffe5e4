#!/usr/bin/env bash
# Makes the container images monlight/SERVICE:latest for this machine, and keeps them small.
# Usage: scripts/images.sh build [FOLDER]               from the static binaries in a folder, without a registry; else from source
#        scripts/images.sh check [SERVICE ...]          whether they keep to their limits of size
#        scripts/images.sh push SERVICE REPOSITORY      makes one from source, checks it, pushes it by its digest, with its
#                                                       SBOM and provenance; prints the digest. Needs a buildx builder.
#        scripts/images.sh layout BINARY                only lays out its image's files, in target/images/SERVICE
set -euo pipefail
shopt -s inherit_errexit

readonly SERVICES=(error-tracker log-viewer metrics-collector browser-relay)
# What a whole image may have, uncompressed: a quarter of the 20 MB that users of the original were promised.
declare -rA BYTES_MAX=([error-tracker]=5000000 [log-viewer]=5000000 [metrics-collector]=5000000 [browser-relay]=5500000)

say() { printf '%s\n' "$*" >&2; }

# The same modes whatever the umask and the checkout's were. The data folder is open like /tmp: in the image's volume
# there is one user, and the operator may say which. What is there already stays: somebody else may be reading it.
layout() {
    local binary=$1 root
    root=target/images/$(basename "$binary")
    if cmp --silent "$binary" "$root/app/$(basename "$binary")"; then return 0; fi
    rm -rf "$root"
    install -d -m 0755 "$root/app"
    install -d -m 1777 "$root/app/data"
    install -m 0755 "$binary" "$root/app/"
}

# What its manifest and git say of the source, for the labels.
version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$1/Cargo.toml"; }
revision() { git rev-parse HEAD 2>/dev/null || echo unknown; }

# The arguments of a build that its targets share, one a line.
arguments() {
    local service=$1
    printf '%s\n' --file=deploy/Dockerfile "--build-arg=SERVICE=$service" "--build-arg=VERSION=$(version "$service")" \
        "--build-arg=REVISION=$(revision)"
}

# What is in it, not what an engine's store makes of it: that differs from store to store.
bytes_of() {
    local container
    container=$(docker create "$1")
    docker export "$container" | wc --bytes
    docker rm --volumes "$container" >/dev/null
}

check() {
    local service bytes failed=0
    for service in "$@"; do
        bytes=$(bytes_of "monlight/$service:latest")
        say "monlight/$service:latest: $bytes bytes of at most ${BYTES_MAX[$service]}"
        if [ "$bytes" -gt "${BYTES_MAX[$service]}" ]; then failed=1; fi
    done
    if [ "$failed" = 1 ]; then say "images: too big"; fi
    return "$failed"
}

build() {
    local bin_dir=$1 service target=final args
    for service in "${SERVICES[@]}"; do
        if [ -n "$bin_dir" ]; then
            layout "$bin_dir/$service"
            target=prebuilt
        fi
        mapfile -t args < <(arguments "$service")
        docker build --quiet "${args[@]}" --target="$target" --tag="monlight/$service:latest" . >/dev/null
    done
    check "${SERVICES[@]}"
}

# What is pushed is what was checked: the second build finds everything of the first in the builder's cache.
push() {
    local service=$1 repository=$2 args metadata version
    mapfile -t args < <(arguments "$service")
    docker buildx build "${args[@]}" --target=final --load --tag="monlight/$service:latest" . >&2
    check "$service"
    version=$(docker run --rm "monlight/$service:latest" --version)
    if [ "$version" != "$service $(version "$service")" ]; then
        say "images: expected $service $(version "$service"), it says $version"
        return 1
    fi
    metadata=$(mktemp)
    docker buildx build "${args[@]}" --target=final --sbom=true --provenance=mode=max --metadata-file="$metadata" \
        --output="type=image,name=$repository,push-by-digest=true,name-canonical=true,push=true" . >&2
    sed -n 's/^.*"containerimage.digest": *"\(sha256:[0-9a-f]*\)".*$/\1/p' "$metadata" | grep .
    rm "$metadata"
}

main() {
    cd "$(dirname "$0")/.."
    case ${1:-} in
        build) build "${2:-}" ;;
        check)
            shift
            [ $# -gt 0 ] || set -- "${SERVICES[@]}"
            check "$@"
            ;;
        push) push "${2:?service}" "${3:?repository}" ;;
        layout) layout "${2:?binary}" ;;
        *) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
}

main "$@"
