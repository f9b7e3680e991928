#!/usr/bin/env bash
# Builds the Debian package for an ARM device, or for this machine: `cross/package.sh aarch64|armv7|native [cargo deb
# options]`.
# Says what is missing and how to get it; installs nothing. `PROFILE=release` compiles less, for tests.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${PROFILE:-dist}
case ${1:-} in
    aarch64) target=aarch64-unknown-linux-gnu ;;
    armv7) target=armv7-unknown-linux-gnueabihf ;;
    native) target=$(rustc -vV | sed -n 's/^host: //p') ;;
    *)
        echo "usage: cross/package.sh aarch64|armv7|native" >&2
        exit 2
        ;;
esac
kind=$1
shift
cargo deb --version >/dev/null 2>&1 || {
    echo "missing: cargo-deb; cargo install --locked cargo-deb" >&2
    exit 1
}

# The newest symbol version of the C library that a program needs.
needed_libc() {
    grep -ao 'GLIBC_2\.[0-9]*' "$1" | sort -uV | tail -n 1 | sed 's/GLIBC_//'
}

if [ "$kind" = native ]; then
    cargo build --locked --profile "$profile" --bin shelfwatch --target "$target"
else
    PROFILE=$profile cross/build.sh "$kind"
fi
program=${CARGO_TARGET_DIR:-target}/$target/$profile/shelfwatch

# What this machine's own program writes of itself is the same on every other.
cargo build --locked --release --bin shelfwatch
own=${CARGO_TARGET_DIR:-target}/release/shelfwatch
rm -rf target/package/man target/package/completions
mkdir -p target/package/completions
"$own" manual target/package/man
"$own" completions bash >target/package/completions/shelfwatch
"$own" completions zsh >target/package/completions/_shelfwatch
"$own" completions fish >target/package/completions/shelfwatch.fish

promised=$(sed -n 's/^depends = "libc6 (>= \([0-9.]*\)).*/\1/p' Cargo.toml)
needed=$(needed_libc "$program")
if [ "$(printf '%s\n%s\n' "$promised" "$needed" | sort -V | tail -n 1)" != "$promised" ]; then
    echo "the program needs glibc $needed and the package promises $promised; build on an older system, or promise more" >&2
    exit 1
fi
cargo deb --no-build --no-strip --locked --target "$target" --profile "$profile" --output target/package/ "$@"
ls -l target/package/*.deb
echo "glibc $needed or newer; $(stat -c %s "$program") bytes of program"
