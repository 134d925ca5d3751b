#!/bin/sh
# Packs the browser of the function's package: @sparticuz/chromium, a headless-shell that needs little more than glibc 2.25.
# Usage: browser.sh LIBRARIES OUT
#
# OUT gets, whole or not at all, what `handler/src/browser.rs` reads. zstd is as small as the package's brotli, and is unpacked in
# 0.6 instead of 1.5 seconds of CPU time, by as many cores as there are.
set -eu
version=153.0.0
sha256=20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0
libraries=$1
out=$2
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/out" "$work/out/licenses" "$work/pieces"

npm pack --silent --pack-destination "$work" "@sparticuz/chromium@$version" >/dev/null
echo "$sha256  $work/sparticuz-chromium-$version.tgz" | sha256sum --check --quiet --strict
tar -xzf "$work/sparticuz-chromium-$version.tgz" -C "$work"
inflate() { node -e 'process.stdout.write(require("zlib").brotliDecompressSync(require("fs").readFileSync(process.argv[1])))' "$work/package/bin/$1"; }

inflate chromium.br >"$work/program"
inflate swiftshader.tar.br | tar -xf - -C "$work/out"
cp -r "$libraries/lib" "$work/out/lib"
cp "$work/package/LICENSE" "$work/out/licenses/sparticuz-chromium.txt"
cp "$libraries"/licenses/* "$work/out/licenses"

piece=33554432
split --bytes=$piece --numeric-suffixes --suffix-length=3 "$work/program" "$work/pieces/"
index=0
for file in "$work"/pieces/*; do
    zstd --quiet -19 --threads=0 "$file" -o "$work/out/chrome-headless-shell@$((index * piece)).zst"
    index=$((index + 1))
done
echo "$version-$(sha256sum "$work/program" | cut -c 1-12)" >"$work/out/version"
chmod -R u=rwX,go=rX "$work/out"
mv "$work/out" "$out"
