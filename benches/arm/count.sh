#!/usr/bin/env bash
# Counts the instructions of one run on emulated ARM processors:
#   benches/arm/count.sh [PROGRAM ARGUMENT…]
# PROGRAM is for arm64, and runs as often as the argument RUNS says, which stands for a number. The count is the difference
# of eleven runs and one, over ten: it repeats to 0.1 %. Without arguments it is the network crate's example `mobile`.
# QEMU_LD_PREFIX names the root of the arm64 system whose libraries PROGRAM needs (/ by default); SYMBOLS=1 prints the
# counts of functions for eleven runs. Instructions are not time: processors differ in what they run at once.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "error: $*" >&2
    exit 1
}
command -v qemu-aarch64 >/dev/null || fail "no qemu-aarch64; \`sudo apt-get install qemu-user\` (the static one loads no plugins)"
command -v gcc >/dev/null || fail "no gcc; \`sudo apt-get install gcc libc6-dev\`"
export QEMU_LD_PREFIX=${QEMU_LD_PREFIX:-/}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -shared -fPIC -o "$work/count.so" benches/arm/count.c

if [ $# = 0 ]; then
    target=aarch64-unknown-linux-gnu
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    cargo build --quiet --locked --release -p shelfwatch-network --example mobile --target $target
    set -- "${CARGO_TARGET_DIR:-target}/$target/release/examples/mobile" RUNS
fi

# Instructions of $2 runs on processor $1.
instructions() {
    local cpu=$1 runs=$2
    shift 2
    qemu-aarch64 -cpu "$cpu" -plugin "$work/count.so" -d plugin -D "$work/log" "${@/#RUNS/$runs}" >"$work/out" ||
        fail "\`$*\` failed on $cpu"
    awk '$1 == "total" { print $2 }' "$work/log"
}

for cpu in ${CPUS:-cortex-a72 cortex-a76 max}; do
    one=$(SYMBOLS='' instructions "$cpu" 1 "$@")
    eleven=$(instructions "$cpu" 11 "$@")
    echo "$cpu: $(((eleven - one) / 10)) instructions; $(tail -n 1 "$work/out")"
    if [ -n "${SYMBOLS:-}" ]; then sort -rn "$work/log" | head -n 20; fi
done
