#!/usr/bin/env bash
# Builds the program for an ARM device on another machine: `cross/build.sh aarch64` or `cross/build.sh armv7`.
# Says what is missing and how to get it; installs nothing. `PROFILE=release` compiles less, for tests.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
    aarch64)
        target=aarch64-unknown-linux-gnu
        prefix=aarch64-linux-gnu
        package=gcc-aarch64-linux-gnu
        library=libc6-dev-arm64-cross
        ;;
    armv7)
        target=armv7-unknown-linux-gnueabihf
        prefix=arm-linux-gnueabihf
        package=gcc-arm-linux-gnueabihf
        library=libc6-dev-armhf-cross
        ;;
    *)
        echo "usage: cross/build.sh aarch64|armv7 [cargo build options]" >&2
        exit 2
        ;;
esac
shift

missing=0
lacks() {
    echo "missing: $1; $2" >&2
    missing=1
}
has() { command -v "$1" >/dev/null 2>&1; }

has cargo || lacks cargo "install Rust from https://rustup.rs"
if has "$prefix-gcc"; then
    # A compiler without its C library links nothing; it prints the bare name of a file that it does not find.
    [ "$("$prefix-gcc" -print-file-name=crt1.o)" != crt1.o ] ||
        lacks "the C library for $prefix" "sudo apt-get install $library"
else
    lacks "$prefix-gcc" "sudo apt-get install $package $library"
fi
if has rustc; then
    # rustc names the folder whether it is there or not.
    library_folder=$(rustc --print target-libdir --target "$target")
    [ -d "$library_folder" ] || lacks "Rust's library for $target" "rustup target add $target"
fi
[ "$missing" = 0 ] || exit 1

variable=$(echo "$target" | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${variable}_LINKER=$prefix-gcc"
export "CC_${target//-/_}=$prefix-gcc"
profile=${PROFILE:-dist}
cargo build --locked --profile "$profile" --bin shelfwatch --target "$target" "$@"

folder=${CARGO_TARGET_DIR:-target}/$target/$profile
ls -l "$folder/shelfwatch"
