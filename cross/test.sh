#!/usr/bin/env bash
# Runs tests for arm64 on this machine by emulation: `cross/test.sh [cargo test options]`, all of them without options.
# Tests start the program as they do elsewhere, so that the kernel must run arm64 programs: as root it sees to that, else
# it says what is missing. Slow: an emulated instruction costs about ten.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu

. cross/needs.sh

has aarch64-linux-gnu-gcc || lacks aarch64-linux-gnu-gcc "sudo apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
has qemu-aarch64-static || lacks qemu-aarch64-static "sudo apt-get install qemu-user-static"
[ -e /lib/ld-linux-aarch64.so.1 ] ||
    lacks "the arm64 C library" "sudo dpkg --add-architecture arm64 && sudo apt-get update && sudo apt-get install libc6:arm64 libgcc-s1:arm64"
[ -d "$(rustc --print target-libdir --target $target)" ] || lacks "Rust's library for $target" "rustup target add $target"
formats=/proc/sys/fs/binfmt_misc
if [ ! -e $formats/qemu-aarch64 ] && [ "$missing" = 0 ] && [ "$(id -u)" = 0 ]; then
    cross/formats.sh
fi
[ -e $formats/qemu-aarch64 ] || lacks "a kernel that runs arm64 programs" "run this as root, or install qemu-user-static with systemd"
[ "$missing" = 0 ] || exit 1

# What is drawn again and again natively, so that chance has no say, is drawn once.
export SHELFWATCH_DEMOS=${SHELFWATCH_DEMOS:-1}
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
exec cargo test --locked --release --target $target "$@"
