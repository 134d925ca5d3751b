#!/bin/sh
# Packs the npm packages named in assets.toml into the cache folder and compares each with its SHA-256.
# Does nothing for packages that are already there. Usage: fetch-assets.sh FOLDER
set -eu
folder=$1
list=$(dirname "$0")/assets.toml
mkdir -p "$folder"
sed -n 's/^\(name\|version\|sha256\) = "\(.*\)"$/\2/p' "$list" | while read -r name && read -r version && read -r sha256; do
    file=$(printf %s "$name" | sed 's/^@//; s,/,-,')-$version.tgz
    if [ ! -f "$folder/$file" ]; then
        staging=$(mktemp -d "$folder/.fetch-XXXXXX")
        trap 'rm -rf "$staging"' EXIT
        npm pack --silent --pack-destination "$staging" "$name@$version" >/dev/null
        printf '%s  %s\n' "$sha256" "$staging/$file" | sha256sum --check --quiet --strict
        mv "$staging/$file" "$folder/$file"
        rm -rf "$staging"
        trap - EXIT
        echo "packed $name@$version"
    fi
    printf '%s  %s\n' "$sha256" "$folder/$file" | sha256sum --check --quiet --strict ||
        { echo "$folder/$file is not the pinned package: remove it and run this again" >&2; exit 1; }
done
