#!/usr/bin/env bash
# Installs what the tests need and runs everything: `tests/run.sh`, or `tests/run.sh quick` for format, lints and tests.
# What cannot be had here is named as `skipped: …` and never passed over in silence; whatever fails ends the run.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-all}
case $mode in
    all | quick) ;;
    *)
        echo "usage: tests/run.sh [quick]" >&2
        exit 2
        ;;
esac

core_target=thumbv7em-none-eabihf
skips=()

say() { printf '\n== %s\n' "$*"; }
skip() {
    skips+=("$*")
    echo "skipped: $*"
}
fail() {
    echo "error: $*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

run() {
    say "$*"
    local start=$SECONDS
    "$@" || fail "\`$*\` failed"
    echo "took $((SECONDS - start)) s"
}

# Whether version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo && [ -t 0 ]; then
        sudo "$@"
    elif has sudo; then
        sudo -n "$@"
    else
        echo "neither root nor sudo: cannot run \`$*\`"
        return 1
    fi
}

packages_listed=
debian_install() {
    has apt-get || return 1
    if [ -z "$packages_listed" ]; then
        as_root apt-get update -qq || true
        packages_listed=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

check_rust() {
    say "Rust"
    has cargo || fail "no cargo on the path; install Rust from https://rustup.rs"
    msrv=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    rust=$(rustc --version | awk '{ print $2 }') || fail "rustc does not run; try \`rustup default stable\`"
    rust=${rust%%-*}
    echo "Rust $rust, needed $msrv or newer"
    at_least "$rust" "$msrv" || fail "Rust $rust is too old; run \`rustup update stable\` for $msrv or newer"
    for tool in fmt clippy; do
        cargo "$tool" --version >/dev/null 2>&1 && continue
        has rustup || fail "cargo $tool is missing; install it with your distribution's packages"
        rustup component add "${tool/fmt/rustfmt}" || fail "cannot install cargo $tool; check the network"
    done
}

install_tools() {
    say "C compiler and browser"
    if ! has cc; then
        debian_install gcc libc6-dev || fail "no C compiler \`cc\`, which tract-linalg needs; install gcc and libc6-dev"
    fi
    echo "cc: $(command -v cc)"
    local browser
    for browser in chromium chromium-browser google-chrome; do
        has "$browser" && break
        browser=
    done
    if [ -z "$browser" ] && debian_install chromium && has chromium; then browser=chromium; fi
    if [ -n "$browser" ]; then
        echo "browser: $(command -v "$browser")"
    else
        skip "the report in a browser; install chromium"
    fi
    # Where it would start a service that listens, it is not ours to install.
    if [ ! -d /run/systemd/system ] && ! { has ssh && [ -x /usr/sbin/sshd ]; }; then
        debian_install openssh-client openssh-server || true
    fi
    if ! { has ssh && [ -x /usr/sbin/sshd ]; }; then skip "installing over ssh; install openssh-server"; fi
    say "MQTT broker"
    local sbin=/usr/sbin/mosquitto
    if ! has openssl || { ! has mosquitto && [ ! -x "$sbin" ]; }; then debian_install mosquitto openssl || true; fi
    if has openssl && { has mosquitto || [ -x "$sbin" ]; }; then
        echo "mosquitto: $(command -v mosquitto || echo "$sbin")"
    else
        skip "MQTT against a real broker; install mosquitto and openssl"
    fi
}

# Whether so many of the minutes that the run may take are left.
minutes=${SHELFWATCH_TEST_MINUTES:-60}
left() { [ $((SECONDS / 60 + $1)) -le "$minutes" ]; }

export SHELFWATCH_FACTORY=${SHELFWATCH_FACTORY:-$PWD/target/factory}

# What other processors need, all at once: nothing may be installed any more while the build behind goes on.
install_cross() {
    debian_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static qemu-system-arm mmdebstrap debian-archive-keyring \
        dosfstools mtools make kmod cpio xz-utils binutils || true
}

# Makes the virtual factory and the program in it behind the tests, which wait more than they compute: cargo lets it begin
# when they are compiled. What goes wrong is said when it is asked for.
build_behind() {
    set -m
    (
        nice -n 19 cross/virtual-factory/prepare.sh "$SHELFWATCH_FACTORY"
        nice -n 19 cross/virtual-factory/daemon.sh
    ) >/dev/null 2>&1 &
    behind=$!
    set +m
    trap 'kill -- -"$behind" 2>/dev/null || true' EXIT
}

# The program in an emulated ARM device with a GPIO chip and a camera.
check_factory() {
    if ! left 18; then
        skip "everything in the virtual factory; it takes 18 minutes of $minutes, set SHELFWATCH_TEST_MINUTES for more"
        return
    fi
    wait "$behind" || true
    if ! cross/virtual-factory/prepare.sh "$SHELFWATCH_FACTORY"; then
        skip "everything in the virtual factory; see what cross/virtual-factory/prepare.sh lacks"
        return
    fi
    run cargo fmt --manifest-path cross/virtual-factory/agent/Cargo.toml --check -- --config-path "$PWD/rustfmt.toml"
    run cross/virtual-factory/daemon.sh
    prepare_package
    run cargo test --locked --release --test factory_machine --test factory_devices --test factory_install --test factory_line \
        --test factory_faults --test factory_package --test factory_board --test factory_parity
}

# The package for arm64, and a whole Debian for the emulated device, onto which a test installs it.
prepare_package() {
    if [ "$(id -u)" != 0 ] || ! has apt-get; then
        skip "the package on a whole system; it takes root on Debian"
        return
    fi
    local formats=/proc/sys/fs/binfmt_misc probe
    probe=$(mktemp -u)
    if ! { [ -e $formats/register ] || mount -t binfmt_misc binfmt_misc $formats; } || ! mknod "$probe" c 1 3; then
        skip "the package on a whole system; this machine lets root neither register formats nor make devices"
        return
    fi
    rm -f "$probe"
    if ! left 20; then
        skip "the package on a whole system; no time"
        return
    fi
    if ! cargo deb --version >/dev/null 2>&1 && ! cargo install --quiet --locked cargo-deb; then
        skip "the package on a whole system; \`cargo install --locked cargo-deb\` failed"
        return
    fi
    if ! { has mmdebstrap && has qemu-aarch64-static && has mkfs.vfat && has mcopy; } &&
        ! debian_install mmdebstrap qemu-user-static dosfstools mtools; then
        skip "the package on a whole system; install mmdebstrap, qemu-user-static, dosfstools and mtools"
        return
    fi
    run cross/virtual-factory/system.sh "$SHELFWATCH_FACTORY"
    run env PROFILE=release cross/package.sh aarch64 --deb-revision 1
    run env PROFILE=release cross/package.sh aarch64 --deb-revision 2
}

check_bare_metal() {
    if has rustup; then
        rustup target list --installed | grep -x "$core_target" >/dev/null || rustup target add "$core_target" || true
        if rustup target list --installed | grep -x "$core_target" >/dev/null; then
            run cargo build --locked -p shelfwatch-core --release --target "$core_target"
            if ! has qemu-system-arm; then debian_install qemu-system-arm || true; fi
            if ! has qemu-system-arm; then
                skip "the core on a Cortex-M; install qemu-system-arm"
                return
            fi
            run cargo fmt --manifest-path cross/cortex-m/Cargo.toml --check -- --config-path "$PWD/rustfmt.toml"
            run cargo test --locked --release --test cortex_m
            return
        fi
    fi
    skip "the core for $core_target; \`rustup target add $core_target\` did not work here"
}

# The kernels of the network crate on emulated processors.
check_kernels() {
    check_arm_kernels
    check_vnni_kernels
}

check_vnni_kernels() {
    if ! { has mmdebstrap && has cpio && has strip; }; then debian_install mmdebstrap cpio binutils || true; fi
    if ! cross/vnni.sh fetch; then
        skip "the kernels for AVX-VNNI; see what cross/vnni.sh lacks"
        return
    fi
    run cross/vnni.sh
}

check_arm_kernels() {
    if ! { has aarch64-linux-gnu-gcc && has qemu-aarch64-static; }; then
        debian_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static || true
    fi
    if ! { has aarch64-linux-gnu-gcc && has qemu-aarch64-static; }; then
        skip "the kernels on ARM processors; install gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static"
        return
    fi
    local target
    for target in aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf; do
        [ -d "$(rustc --print target-libdir --target "$target")" ] && continue
        if ! has rustup || ! rustup target add "$target"; then
            skip "the kernels on ARM processors; \`rustup target add $target\` did not work here"
            return
        fi
    done
    run cargo clippy --locked -p shelfwatch-network --all-targets --release --target aarch64-unknown-linux-gnu -- -D warnings
    run cross/kernels.sh
}

check_dependencies() {
    if ! cargo deny --version >/dev/null 2>&1; then
        if ! left 12; then
            skip "licences and sources of the dependencies; no time to build cargo-deny"
            return
        fi
        say "cargo-deny is missing: building it, once"
        if ! cargo install --locked cargo-deny; then
            skip "licences and sources of the dependencies; \`cargo install --locked cargo-deny\` failed"
            return
        fi
    fi
    run cargo deny --locked check bans licenses sources
    local database=https://github.com/rustsec/advisory-db
    if has git && GIT_TERMINAL_PROMPT=0 timeout 60 git ls-remote --quiet "$database" HEAD >/dev/null 2>&1; then
        run cargo deny --locked check advisories
    else
        skip "known vulnerabilities of the dependencies; $database cannot be reached"
    fi
}

check_oldest_rust() {
    say "Rust $msrv is enough"
    # Also without that toolchain: no dependency may declare a newer one (clippy checks our own calls).
    local newest
    newest=$(cargo metadata --locked --format-version 1 | grep -o '"rust_version":"[0-9.]*"' | cut -d '"' -f 4 | sort -V | tail -n 1)
    echo "the newest Rust that a package declares is $newest"
    at_least "$msrv" "$newest" || fail "a dependency needs Rust $newest; raise rust-version in Cargo.toml or hold it back"
    case $rust in
        "$msrv" | "$msrv".*)
            echo "everything above ran with it"
            return
            ;;
    esac
    if has rustup && { rustup run "$msrv" rustc --version >/dev/null 2>&1 ||
        timeout 600 rustup toolchain install "$msrv" --profile minimal --no-self-update >/dev/null 2>&1; }; then
        run rustup run "$msrv" cargo check --locked --workspace --release
    else
        skip "a check with Rust $msrv itself; the toolchain cannot be installed here"
    fi
}

check_rust
install_tools
run cargo fmt --all --check
run cargo clippy --locked --workspace --all-targets --release -- -D warnings
run cargo clippy --locked --no-default-features --features device --release -- -D warnings
if [ "$mode" = all ]; then
    install_cross
    build_behind
fi
# The factory's own tests come last.
run env SHELFWATCH_FACTORY=target/none cargo test --locked --workspace --release
if [ "$mode" = all ]; then
    check_bare_metal
    check_kernels
    RUSTDOCFLAGS="-D warnings" run cargo doc --locked --no-deps --workspace --release
    check_dependencies
    check_oldest_rust
    check_factory
fi

say "all passed in $((SECONDS / 60)) min, ${#skips[@]} skipped"
for reason in ${skips[@]+"${skips[@]}"}; do echo "skipped: $reason"; done
