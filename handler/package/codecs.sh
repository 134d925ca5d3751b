#!/bin/sh
# Builds libav and its codecs as static libraries for a system with glibc 2.31 or newer, from Debian's sources of the
# release whose libraries the tests run with. Usage: codecs.sh SOURCES OUT
#
# SOURCES has what `apt-get source --tar-only` fetched; OUT gets lib, include and licenses, whole or not at all.
# Needs `zig` in PATH, and cmake, make, nasm, pkg-config.
set -eu
sources=$(realpath "$1")
out=$2
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
mkdir -p "$prefix/bin" "$prefix/licenses"

for tool in cc c++ ar ranlib; do
    target=
    case $tool in cc | c++) target='-target x86_64-linux-gnu.2.31' ;; esac
    printf '#!/bin/sh\nexec zig %s %s "$@"\n' "$tool" "$target" >"$work/$tool"
    chmod +x "$work/$tool"
done
export CC="$work/cc" CXX="$work/c++" AR="$work/ar" RANLIB="$work/ranlib"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" PKG_CONFIG_LIBDIR="$prefix/lib/pkgconfig"
export MAKEFLAGS="-s -j$(nproc)"

# Unpacks a source, goes there, keeps its licence, and runs the rest; what that says is shown only when it fails.
build() {
    name=$1
    shift
    mkdir "$work/$name"
    tar -xf "$sources/$name"_*.orig.tar.* -C "$work/$name" --strip-components 1
    cat "$work/$name"/COPYING* "$work/$name"/LICENSE* >"$prefix/licenses/$name.txt" 2>/dev/null || true
    echo "building $name"
    (cd "$work/$name" && "$@") >"$work/$name.log" 2>&1 || { tail -n 40 "$work/$name.log" >&2; exit 1; }
}

zlib() {
    ./configure --static --prefix="$prefix"
    make && make install
}

x264() {
    ./configure --prefix="$prefix" --enable-static --enable-pic --disable-cli --disable-opencl --bit-depth=all --extra-cflags=-O3
    make && make install
}

x265() {
    cmake -S source -B build -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DENABLE_SHARED=OFF \
        -DENABLE_CLI=OFF -DENABLE_LIBNUMA=OFF -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_AR="$AR" \
        -DCMAKE_RANLIB="$RANLIB" -DCMAKE_POSITION_INDEPENDENT_CODE=ON
    make -C build && make -C build install
    # It names the toolchain's own archives.
    sed -i 's|^Libs.private:.*|Libs.private: -lc++ -lpthread -lm -ldl|' "$prefix/lib/pkgconfig/x265.pc"
}

libvpx() {
    LD=$CC ./configure --prefix="$prefix" --target=x86_64-linux-gcc --enable-pic --disable-examples --disable-tools \
        --disable-docs --disable-unit-tests --enable-vp9-highbitdepth --as=nasm
    make && make install
}

opus() {
    ./configure --prefix="$prefix" --host=x86_64-linux-gnu --disable-shared --with-pic --disable-doc --disable-extra-programs \
        CFLAGS='-O3 -DNDEBUG'
    make && make install
}

ffmpeg() {
    ./configure --prefix="$prefix" --enable-cross-compile --target-os=linux --arch=x86_64 --cc="$CC" --cxx="$CXX" --ar="$AR" \
        --ranlib="$RANLIB" --host-cc="$CC" --pkg-config=pkg-config --pkg-config-flags=--static --enable-gpl --enable-pic \
        --disable-shared --enable-static --disable-autodetect --enable-zlib --enable-libx264 --enable-libx265 \
        --enable-libvpx --enable-libopus --disable-programs --disable-doc --disable-debug --disable-network \
        --disable-stripping --disable-avdevice --disable-postproc --extra-cflags="-I$prefix/include -g0" \
        --extra-ldflags="-L$prefix/lib" --extra-libs='-lpthread -lm' \
        --disable-everything --enable-protocol=file --enable-bsfs --enable-parsers --enable-filters \
        --enable-decoder=h264,hevc,vp8,vp9,libvpx_vp8,libvpx_vp9,mpeg4,mpeg2video,prores,dnxhd,mjpeg,png,gif,apng,webp,rawvideo,qtrle,aac,aac_latm,mp3,mp3float,opus,vorbis,flac,alac,ac3,eac3,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s32le,pcm_f32le,pcm_u8,pcm_alaw,pcm_mulaw \
        --enable-encoder=libx264,libx264rgb,libx265,libvpx_vp9,prores_ks,aac,libopus,png,gif,rawvideo,pcm_s16le,pcm_f32le \
        --enable-muxer=mp4,mov,ipod,webm,matroska,gif,wav,adts,opus,null,rawvideo,h264,hevc,framemd5,hash,hls,mpegts \
        --enable-demuxer=mov,matroska,caf,w64,mpegps,mp3,wav,ogg,flac,aac,gif,apng,image2,image_png_pipe,image_jpeg_pipe,image_webp_pipe,concat,rawvideo,h264,hevc,mpegts,avi,aiff,pcm_s16le,pcm_f32le
    # The toolchain's glibc exports it and has no header for it.
    sed -i 's/#define HAVE_SYSCTL 1/#define HAVE_SYSCTL 0/' config.h
    make && make install
}

for library in zlib x264 x265 libvpx opus ffmpeg; do
    build "$library" "$library"
done
rm -rf "$prefix/bin" "$prefix/share" "$prefix"/lib/*.la
# They name this folder, which is about to move, and a library that the toolchain has built in.
sed -i "s|$prefix|$out|g; s/ -latomic//g" "$prefix"/lib/pkgconfig/*.pc
mv "$prefix" "$out"
