#!/usr/bin/env bash
# Runs the tests of the network crate on an emulated Intel Arrow Lake, so that the kernels for AVX-VNNI are held to the plain
# ones on any x86-64 machine; qemu has no such processor, Bochs has. `cross/vnni.sh fetch` only gets the emulator, a kernel and
# a boot loader from Debian into target/vnni, where they stay. Says what is missing; about two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
target=x86_64-unknown-linux-gnu
# The first release whose Bochs (3.0) has AVX-VNNI.
release=trixie
cache=$PWD/target/vnni
root=$cache/debian
libraries=$root/usr/lib/x86_64-linux-gnu

fail() {
    echo "error: $*" >&2
    exit 1
}
. cross/needs.sh

case "$*" in
    '' | fetch) ;;
    *)
        echo "usage: cross/vnni.sh [fetch]" >&2
        exit 2
        ;;
esac
[ "$(uname -sm)" = "Linux x86_64" ] || fail "the emulator runs on Linux on x86-64, which this machine is not"
has mmdebstrap || lacks mmdebstrap "sudo apt-get install mmdebstrap"
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || lacks "Debian's keys" "sudo apt-get install debian-archive-keyring"
has cpio || lacks cpio "sudo apt-get install cpio"
has strip || lacks strip "sudo apt-get install binutils"
[ -d "$(rustc --print target-libdir --target $target)" ] || lacks "Rust's library for $target" "rustup target add $target"
[ "$missing" = 0 ] || exit 1

# Unpacked, not installed: this machine's own packages stay as they are, and it may be of another release.
if [ ! -e "$root" ]; then
    echo "getting Bochs from Debian $release"
    rm -rf "$root.part"
    mkdir -p "$root.part"
    packages=bochs,bochs-term,bochsbios,vgabios,ncurses-base,isolinux,syslinux-common,xorriso,busybox-static,linux-image-cloud-amd64
    mmdebstrap --quiet --variant=extract --architectures=amd64 --include=$packages $release - |
        tar -x -C "$root.part" --exclude=./dev || fail "cannot get $packages of $release; check the network"
    mv "$root.part" "$root"
fi
# What runs a program of that release with its libraries.
debian=("$libraries/ld-linux-x86-64.so.2" --library-path "$libraries")
[ $# = 0 ] || exit 0

# An emulated processor is slow, and every case holds all kinds of kernels that it has to one another.
cases=${SHELFWATCH_CASES:-40}
# Static programs need no libraries on the emulated machine.
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
options=(--quiet --locked --release -p shelfwatch-network --target "$target")
cargo build "${options[@]}" --example mobile
tests=$(cargo test "${options[@]}" --lib --tests --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
[ -n "$tests" ] || fail "cargo names no tests"
mobile=${CARGO_TARGET_DIR:-target}/$target/release/examples/mobile

# The emulated machine's file system, and what it boots from.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{root/bin,root/dev,root/proc,root/tests,disc}
cp "$root/usr/bin/busybox" "$work/root/bin/"
strip -o "$work/root/bin/mobile" "$mobile"
for test in $tests; do strip -o "$work/root/tests/$(basename "$test")" "$test"; done
cat >"$work/root/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin SHELFWATCH_CASES=$cases
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
verdict=passed
# Fails where the processor lacks the kind, and the tests would pass it over.
mobile 1 avx-vnni || verdict=failed
for test in /tests/*; do \$test --test-threads 1 || verdict=failed; done
echo "verdict: \$verdict"
# The serial line is slow, and what is still on its way would be lost.
sleep 1
poweroff -f
END
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio --quiet -o -H newc -R 0:0) >"$work/disc/initramfs"
cp "$root"/boot/vmlinuz-* "$work/disc/vmlinuz"
cp "$root/usr/lib/ISOLINUX/isolinux.bin" "$root/usr/lib/syslinux/modules/bios/ldlinux.c32" "$work/disc/"
cat >"$work/disc/isolinux.cfg" <<END
default tests
label tests
    kernel vmlinuz
    append initrd=initramfs console=ttyS0 quiet panic=-1 reboot=triple mitigations=off
END
"${debian[@]}" "$root/usr/bin/xorriso" -as mkisofs -quiet -o "$work/disc.iso" -b isolinux.bin -c boot.cat -no-emul-boot \
    -boot-load-size 4 -boot-info-table "$work/disc" >"$work/xorriso" 2>&1 || {
    cat "$work/xorriso" >&2
    fail "xorriso makes no disc to boot from"
}

# So few instructions a second of the emulated clock, so that waiting for a disc takes few of them.
cat >"$work/machine" <<END
cpu: model=arrow_lake, ips=20000000, reset_on_triple_fault=0, ignore_bad_msrs=1
megs: 512
romimage: file=$root/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=$root/usr/share/bochs/VGABIOS-lgpl-latest
vga: extension=vbe, update_freq=1
display_library: term
ata0-master: type=cdrom, path=$work/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
log: $work/log
panic: action=fatal
END
# It ends with the same status whether the machine was turned off or broke down: what the machine says counts.
LTDL_LIBRARY_PATH=$libraries/bochs/plugins TERMINFO=$root/usr/share/terminfo TERM=xterm timeout 900 \
    "${debian[@]}" "$root/usr/bin/bochs-bin" -q -f "$work/machine" </dev/null >"$work/screen" 2>&1 || true
touch "$work/serial" "$work/log"
tr -d '\r' <"$work/serial" >"$work/said"
cat "$work/said"
if ! grep -qx 'verdict: passed' "$work/said"; then
    grep -qx 'verdict: failed' "$work/said" || tail -n 5 "$work/log" "$work/screen" >&2
    fail "the tests did not pass on the emulated processor"
fi
# Many layers at once, against the plain kernels.
results() { sed -n 's/.* ms, \(results [0-9a-f]*\)$/\1/p'; }
expected=$("$mobile" 1 portable | results)
found=$(results <"$work/said")
[ "$found" = "$expected" ] || fail "mobile gives $found on the emulated processor, the plain kernels $expected"
