#!/usr/bin/env bash
# Runs the tests of the network crate for arm64 by emulation of three kinds of processors, so that each kind of kernel is
# held to the plain ones, and checks that the crate compiles for 32-bit ARM. Says what is missing; about a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
small=armv7-unknown-linux-gnueabihf

. cross/needs.sh

has aarch64-linux-gnu-gcc || lacks aarch64-linux-gnu-gcc "sudo apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
has qemu-aarch64-static || lacks qemu-aarch64-static "sudo apt-get install qemu-user-static"
for needed in $target $small; do
    [ -d "$(rustc --print target-libdir --target "$needed")" ] || lacks "Rust's library for $needed" "rustup target add $needed"
done
[ "$missing" = 0 ] || exit 1

# An emulated processor is slow, and every case holds all kinds of kernels that it has to one another.
export SHELFWATCH_CASES=${SHELFWATCH_CASES:-60}
# Static programs need no arm64 libraries on this machine.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
for kind in cortex-a72=neon cortex-a76=dot max=i8mm; do
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu ${kind%=*}"
    # Fails where the processor lacks the kind, and the tests would pass it over.
    cargo run --quiet --locked --release -p shelfwatch-network --target $target --example mobile 1 "${kind#*=}"
    cargo test --quiet --locked --release -p shelfwatch-network --target $target --lib --tests "$@"
done
cargo check --locked --release -p shelfwatch-network --target $small
