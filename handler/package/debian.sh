#!/bin/sh
# Fetches from Debian's archive, without touching this system's packages, what the function's package is made of and tried
# in. Needs apt-get and dpkg-deb, not root. Usage: debian.sh OUT
#
# OUT gets, whole or not at all:
#   sources/   upstream tarballs of libav and its codecs, of the release whose libraries the tests run with
#   libraries/ what the browser needs besides glibc, of a release older than Lambda's
#   root/      glibc 2.31, for a try that sees nothing of this machine; Lambda's provided.al2023 has 2.34
set -eu
out=$1
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
apt=$work/apt
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$work/debs" "$work/out/sources" "$work/out/root"

signed='signed-by=/usr/share/keyrings/debian-archive-keyring.gpg'
cat >"$apt/sources.list" <<END
deb-src [$signed] http://deb.debian.org/debian bookworm main
deb-src [$signed] http://deb.debian.org/debian-security bookworm-security main
deb [$signed arch=amd64] http://deb.debian.org/debian bullseye main
deb [$signed arch=amd64] http://deb.debian.org/debian-security bullseye-security main
END
cat >"$apt/conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$apt/state";
Dir::State::Status "/dev/null";
Dir::Cache "$apt/cache";
APT::Architecture "amd64";
APT::Sandbox::User "";
END
export APT_CONFIG="$apt/conf"
apt-get -qq update

(cd "$work/out/sources" && apt-get -qq source --tar-only zlib x264 x265 libvpx opus ffmpeg)
(cd "$work/debs" && apt-get -qq download libc6 libgcc-s1 libnss3 libnspr4 libexpat1)

unpack() { dpkg-deb --extract "$work"/debs/"$1"_*.deb "$2"; }

mkdir -p "$work/out/libraries/lib" "$work/out/libraries/licenses"
for package in libnss3 libnspr4 libexpat1; do
    unpack "$package" "$work/unpacked"
    cp "$work/unpacked/usr/share/doc/$package/copyright" "$work/out/libraries/licenses/$package.txt"
done
# NSS loads its modules (softokn, freebl) from beside itself.
for library in libexpat.so.1 libfreebl3.so libfreeblpriv3.so libnspr4.so libnss3.so libnssutil3.so libplc4.so libplds4.so \
    libsmime3.so libsoftokn3.so libssl3.so; do
    cp -L "$(find "$work/unpacked" -name "$library" | head -n 1)" "$work/out/libraries/lib/$library"
done
for package in libc6 libgcc-s1; do
    unpack "$package" "$work/out/root"
done
mkdir -p "$work/out/root/tmp" "$work/out/root/proc" "$work/out/root/dev" "$work/out/root/var/task" "$work/out/root/etc"
echo 'sbx_user1051:x:993:990::/tmp:/bin/false' >"$work/out/root/etc/passwd"
rm -rf "$work/out/root/usr/share"
mv "$work/out" "$out"
