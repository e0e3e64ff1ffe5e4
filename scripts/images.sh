#!/usr/bin/env bash
# Makes the container images monlight/SERVICE:latest from static binaries of this machine, without a registry.
# Usage: scripts/images.sh build FOLDER_OF_THE_BINARIES
#        scripts/images.sh layout BINARY    only lays out its image's files, in target/images/SERVICE
set -euo pipefail

readonly SERVICES=(error-tracker log-viewer metrics-collector browser-relay)

say() { printf '%s\n' "$*" >&2; }

# The same modes whatever the umask and the checkout's were. The data folder is open like /tmp: in the image's volume
# there is one user, and the operator may say which.
layout() {
    local binary=$1 root
    root=target/images/$(basename "$binary")
    rm -rf "$root"
    install -d -m 0755 "$root/app"
    install -d -m 1777 "$root/app/data"
    install -m 0755 "$binary" "$root/app/"
}

# What `cargo` and git say of the source, for the labels.
version() { sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1; }
revision() { git rev-parse HEAD 2>/dev/null || say unknown; }

build() {
    local bin_dir=$1 service
    for service in "${SERVICES[@]}"; do
        layout "$bin_dir/$service"
        docker build --quiet --file deploy/Dockerfile --target prebuilt --build-arg SERVICE="$service" \
            --build-arg VERSION="$(version)" --build-arg REVISION="$(revision)" --tag "monlight/$service:latest" . >/dev/null
        say "monlight/$service:latest: $(docker image inspect --format '{{.Size}}' "monlight/$service:latest") bytes"
    done
}

main() {
    cd "$(dirname "$0")/.."
    case ${1:-} in
        build) build "${2:?folder of the binaries}" ;;
        layout) layout "${2:?binary}" ;;
        *) say "usage: scripts/images.sh build FOLDER | layout BINARY"; exit 2 ;;
    esac
}

main "$@"
