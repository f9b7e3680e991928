#!/usr/bin/env bash
# Installs, runs, upgrades and purges the arm64 package in a Debian system of its own under emulation, and says what is
# left behind: `cross/package-test.sh OLD.deb NEW.deb line.shelf`. As root, on Debian; the system goes to target/package/root.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 3 ] || { echo "usage: cross/package-test.sh OLD.deb NEW.deb line.shelf" >&2; exit 2; }
old=$1 new=$2 shelf=$3
release=bookworm
root=$PWD/target/package/root
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n== %s\n' "$*"; }
fail() { echo "error: $*" >&2; exit 1; }

for tool in mmdebstrap qemu-aarch64-static; do
    command -v $tool >/dev/null || fail "$tool is missing; apt-get install mmdebstrap qemu-user-static"
done
[ "$(id -u)" = 0 ] || fail "not root; a system of its own needs chroot"
# The kernel runs arm64 programs through the emulator.
formats=/proc/sys/fs/binfmt_misc
[ -e $formats/register ] || mount -t binfmt_misc binfmt_misc $formats
if [ ! -e $formats/qemu-aarch64 ]; then
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    echo ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >$formats/register
fi

if [ ! -e "$root.tar" ]; then
    say "a Debian $release for arm64"
    mmdebstrap --quiet --variant=minbase --architectures=arm64 --include=systemd,udev $release "$root.tar"
fi
rm -rf "$root"
mkdir -p "$root"
tar -xf "$root.tar" -C "$root" --exclude='./dev/*'
cp "$old" "$root/root/old.deb"
cp "$new" "$root/root/new.deb"
cp "$shelf" "$root/root/line.shelf"
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/urandom" c 1 9
files() { (cd "$root" && find . -path ./root -prune -o -path ./proc -prune -o -path ./var/log -prune -o -print | sort); }

files >"$work/before"
say "install"
in_root dpkg -i /root/old.deb
in_root shelfwatch --version
in_root id shelfwatch
in_root stat -c '%U %G %a %n' /var/lib/shelfwatch
in_root sh -c 'test -s /usr/share/man/man1/shelfwatch-install.1.gz && test -s /usr/lib/systemd/system/shelfwatch.service'

say "run"
cat >"$root/etc/shelfwatch/station.toml" <<'T'
site = "plant"
device = "line"
[[station]]
name = "cam1"
shelf = "/var/lib/shelfwatch/cam1.shelf"
deadline_ms = 60000
source.folder = { path = "/var/lib/shelfwatch/in", after = "delete" }
[install]
keys = ["/etc/shelfwatch/plant.pub"]
[web]
listen = ""
T
in_root sh -ec '
    cd /root
    shelfwatch keygen -o plant
    install -m 0644 plant.pub /etc/shelfwatch/plant.pub
    shelfwatch sign line.shelf --key plant.key
    shelfwatch install line.shelf
    install -d -o shelfwatch -g shelfwatch /var/lib/shelfwatch/in
'
in_root sh -c 'shelfwatch doctor --config /etc/shelfwatch/station.toml; true'
in_root sh -c '
    setpriv --reuid shelfwatch --regid shelfwatch --init-groups shelfwatch run --config /etc/shelfwatch/station.toml 2>/root/log &
    station=$!
    for second in $(seq 60); do grep -q "proven" /root/log && break; sleep 1; done
    kill -TERM $station && wait $station
' || { cat "$root/root/log"; fail "the station did not run"; }
grep proven "$root/root/log"

say "upgrade"
in_root dpkg -i --force-confold /root/new.deb
in_root dpkg-query -W -f '${Package} ${Version} ${Status}\n' shelfwatch
in_root test -s /var/lib/shelfwatch/cam1.shelf
in_root grep -q 'plant.pub' /etc/shelfwatch/station.toml

say "purge"
in_root dpkg --purge shelfwatch
files >"$work/after"
# The user stays; its number is given to nobody else.
if ! diff <(grep -v -e '^./etc/\(passwd\|group\|shadow\|gshadow\)-\?$' -e '^./var/lib/dpkg' -e '^./etc/.pwd.lock$' "$work/before") \
    <(grep -v -e '^./etc/\(passwd\|group\|shadow\|gshadow\)-\?$' -e '^./var/lib/dpkg' -e '^./etc/.pwd.lock$' "$work/after"); then
    fail "the lines above were left behind, or went"
fi
say "installed, ran, was upgraded and purged"
