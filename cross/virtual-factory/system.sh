#!/usr/bin/env bash
# Makes the disk of a whole Debian for the virtual factory's machine, onto which packages can be installed:
# `cross/virtual-factory/system.sh target/factory`, once, then `machine.sh target/factory --system COPY.img`.
# As root, on Debian.
set -euo pipefail
[ $# = 1 ] || { echo "usage: cross/virtual-factory/system.sh FOLDER" >&2; exit 2; }
mkdir -p "$1"
cache=$(cd "$1" && pwd)
image=$cache/system.img
release=bookworm
[ -e "$image" ] && exit

fail() { echo "error: $*" >&2; exit 1; }
PATH=$PATH:/usr/sbin:/sbin
for tool in mmdebstrap:mmdebstrap qemu-aarch64-static:qemu-user-static mke2fs:e2fsprogs; do
    command -v "${tool%:*}" >/dev/null || fail "${tool%:*} is missing; apt-get install ${tool#*:}"
done
[ "$(id -u)" = 0 ] || fail "not root; Debian's packages are set up in a system of their own"
"$(dirname "$0")/../formats.sh"

root=$cache/system
rm -rf "$root"
mmdebstrap --quiet --variant=minbase --architectures=arm64 --include=systemd-sysv,udev,kmod $release "$root"
# As on a device that somebody has set up: a name, a disk that may be written to, root without a password on the console.
echo line1 >"$root/etc/hostname"
printf '127.0.0.1 localhost line1\n10.0.2.2 host\n' >"$root/etc/hosts"
echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
sed -i 's/^root:[^:]*:/root::/' "$root/etc/shadow"
: >"$root/etc/machine-id"
rm -rf "$root/dev" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
mkdir "$root/dev"
rm -f "$image.part"
mke2fs -q -t ext4 -d "$root" "$image.part" 4G
mv "$image.part" "$image"
rm -rf "$root"
echo "ready: $image, $(du -m "$image" | cut -f 1) MB"
