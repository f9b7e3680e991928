#!/usr/bin/env bash
# Builds the program for an ARM device on another machine: `cross/build.sh aarch64`, `musl` or `armv7`; with `--device`
# only what a device needs.
# Says what is missing and how to get it; installs nothing. `PROFILE=release` compiles less, for tests.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
    aarch64)
        target=aarch64-unknown-linux-gnu
        compiler=aarch64-linux-gnu-gcc
        packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
        ;;
    musl)
        target=aarch64-unknown-linux-musl
        # Debian's wrapper around the compiler for glibc, with musl's headers.
        compiler=aarch64-linux-musl-gcc
        packages="gcc-aarch64-linux-gnu musl-dev:arm64"
        ;;
    armv7)
        target=armv7-unknown-linux-gnueabihf
        compiler=arm-linux-gnueabihf-gcc
        packages="gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"
        ;;
    *)
        echo "usage: cross/build.sh aarch64|musl|armv7 [--device] [cargo build options]" >&2
        exit 2
        ;;
esac
shift
profile=${PROFILE:-dist}
features=()
promise=()
if [ "${1:-}" = --device ]; then
    shift
    features=(--no-default-features --features device)
    # Other profiles are not meant to be small.
    [ "$profile" != dist ] || promise=(15000000)
fi

. cross/needs.sh

has cargo || lacks cargo "install Rust from https://rustup.rs"
install="sudo apt-get install $packages"
case $packages in
    *:arm64) install="sudo dpkg --add-architecture arm64 && sudo apt-get update && $install" ;;
esac
# A compiler without its C library links nothing; it prints the bare name of a file that it does not find. The wrapper
# comes with its library, and not with the compiler that it calls.
if ! has "$compiler" || ! "$compiler" --version >/dev/null 2>&1; then
    lacks "$compiler" "$install"
elif [ "$target" != aarch64-unknown-linux-musl ] && [ "$("$compiler" -print-file-name=crt1.o)" = crt1.o ]; then
    lacks "the C library of $compiler" "$install"
fi
if has rustc; then
    # rustc names the folder whether it is there or not.
    library_folder=$(rustc --print target-libdir --target "$target")
    [ -d "$library_folder" ] || lacks "Rust's library for $target" "rustup target add $target"
fi
[ "$missing" = 0 ] || exit 1

variable=$(echo "$target" | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${variable}_LINKER=$compiler"
export "CC_${target//-/_}=$compiler"
cargo build --locked --profile "$profile" --bin shelfwatch --target "$target" ${features[@]+"${features[@]}"} "$@"

program=${CARGO_TARGET_DIR:-target}/$target/$profile/shelfwatch
ls -l "$program"
cross/promises.sh "$program" ${promise[@]+"${promise[@]}"}
