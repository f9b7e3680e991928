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

if [ "$kind" = native ]; then
    cargo build --locked --profile "$profile" --bin shelfwatch --target "$target"
    cross/promises.sh "${CARGO_TARGET_DIR:-target}/$target/$profile/shelfwatch"
else
    PROFILE=$profile cross/build.sh "$kind"
fi

# What this machine's own program writes of itself is the same on every other.
cargo build --locked --release --bin shelfwatch
own=${CARGO_TARGET_DIR:-target}/release/shelfwatch
rm -rf target/package/man target/package/completions
mkdir -p target/package/completions
"$own" manual target/package/man
"$own" completions bash >target/package/completions/shelfwatch
"$own" completions zsh >target/package/completions/_shelfwatch
"$own" completions fish >target/package/completions/shelfwatch.fish

cargo deb --no-build --no-strip --locked --target "$target" --profile "$profile" --output target/package/ "$@"
ls -l target/package/*.deb
