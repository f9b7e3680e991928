#!/usr/bin/env bash
# Gets and builds what the virtual factory needs, into a folder: `cross/virtual-factory/prepare.sh target/factory`.
# Each step is skipped when its result is there. As root it installs missing Debian packages; else it names them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

[ $# = 1 ] || {
    echo "usage: cross/virtual-factory/prepare.sh FOLDER" >&2
    exit 2
}
mkdir -p "$1"
cache=$(cd "$1" && pwd)
target=aarch64-unknown-linux-gnu
prefix=aarch64-linux-gnu
PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "error: $*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
done_already() { [ -e "$cache/$1" ]; }

# Runs a step whose result is the path $1, and says what it cost.
step() {
    local result=$1
    shift
    done_already "$result" && return
    local start=$SECONDS
    "$@"
    done_already "$result" || fail "\`$1\` left no $cache/$result"
    echo "$1: $((SECONDS - start)) s"
}

install_packages() {
    has apt-get || fail "the machine is put together from Debian packages; use Debian 12 on amd64"
    local missing=()
    has qemu-system-aarch64 || missing+=(qemu-system-arm)
    has "$prefix-gcc" || missing+=("gcc-$prefix")
    [ -e /usr/$prefix/lib/libc.a ] || missing+=(libc6-dev-arm64-cross)
    has make || missing+=(make)
    has depmod || missing+=(kmod)
    has cpio || missing+=(cpio)
    has xz || missing+=(xz-utils)
    if [ ${#missing[@]} != 0 ]; then
        [ "$(id -u)" = 0 ] || fail "missing packages; sudo apt-get install --no-install-recommends ${missing[*]}"
        echo "installing ${missing[*]}"
        apt-get update -qq || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
            fail "cannot install ${missing[*]}; check the network and the package sources"
    fi
    has cargo || fail "no cargo on the path; install Rust from https://rustup.rs"
    [ -d "$(rustc --print target-libdir --target $target)" ] ||
        { has rustup && rustup target add $target; } ||
        fail "Rust's library for $target is missing; rustup target add $target"
}

list_arm64_packages() {
    if ! dpkg --print-foreign-architectures | grep -x arm64 >/dev/null; then
        [ "$(id -u)" = 0 ] ||
            fail "apt does not list arm64 packages; sudo dpkg --add-architecture arm64 && sudo apt-get update"
        dpkg --add-architecture arm64
        apt-get update -qq || true
    fi
    if [ -z "$(apt-cache show linux-image-arm64:arm64 2>/dev/null)" ]; then
        [ "$(id -u)" = 0 ] || fail "apt knows no linux-image-arm64:arm64; sudo apt-get update"
        apt-get update -qq || true
    fi
    [ -n "$(apt-cache show linux-image-arm64:arm64 2>/dev/null)" ] ||
        fail "apt knows no linux-image-arm64:arm64; check the package sources"
}

# Downloads Debian packages and unpacks them into $cache/$1, without installing them.
unpack() {
    local into=$1
    shift
    rm -rf "$cache/$into.part" "$cache/$into.deb"
    mkdir -p "$cache/$into.part" "$cache/$into.deb"
    (cd "$cache/$into.deb" && apt-get -qq -o APT::Sandbox::User=root download "$@") ||
        fail "cannot download $*; run \`apt-get update\`, check the network; for a newer kernel remove $cache"
    local package
    for package in "$cache/$into.deb"/*.deb; do dpkg -x "$package" "$cache/$into.part"; done
    rm -rf "$cache/$into.deb"
    mv "$cache/$into.part" "$cache/$into"
}

# The kernel, its headers and the emulated device's C library; all of one kernel version.
choose_kernel() {
    list_arm64_packages
    local depends
    depends=$(apt-cache show linux-image-arm64:arm64 | sed -n 's/^Depends: \(linux-image-[^ ]*\) (= \([^)]*\)).*/\1 \2/p' |
        head -n 1)
    [ -n "$depends" ] || fail "linux-image-arm64 does not say which kernel it stands for; use Debian 12"
    echo "$depends" >"$cache/kernel.part"
    mv "$cache/kernel.part" "$cache/kernel-package"
}

get_kernel() { unpack kernel "$image=$version"; }

get_headers() {
    unpack headers "linux-headers-$release:arm64=$version" "linux-headers-${release%-arm64}-common=$version" \
        "linux-kbuild-$series=$version" v4l2loopback-dkms
    # Debian's Makefile names the place where the package would have been installed.
    echo "include $cache/headers/usr/src/linux-headers-${release%-arm64}-common/Makefile" \
        >"$cache/headers/usr/src/linux-headers-$release/Makefile"
}

get_library() { unpack library libc6:arm64 libgcc-s1:arm64 busybox-static:arm64; }

# Three files out of the kernel's source: gpio-sim is not in Debian's kernels.
get_gpio_sim() {
    unpack source "linux-source-$series=$version"
    local tree=linux-source-$series
    rm -rf "$cache/gpio-sim.part"
    mkdir -p "$cache/gpio-sim.part"
    tar -xJf "$cache/source/usr/src/$tree.tar.xz" -C "$cache/gpio-sim.part" --strip-components=3 --occurrence=1 \
        "$tree/drivers/gpio/gpio-sim.c" "$tree/drivers/gpio/gpiolib.h" "$tree/kernel/irq/irq_sim.c"
    rm -rf "$cache/source"
    mv "$cache/gpio-sim.part" "$cache/gpio-sim"
}

compile_module() {
    make -s -C "$cache/headers/usr/src/linux-headers-$release" M="$1" ARCH=arm64 CROSS_COMPILE=$prefix- modules \
        >"$1/build.log" 2>&1 || {
        tail -n 20 "$1/build.log" >&2
        fail "a kernel module does not compile against $release; see $1/build.log"
    }
}

build_gpio_sim() {
    local folder=$cache/gpio-sim
    [ -e "$folder/chip.c" ] || mv "$folder/gpio-sim.c" "$folder/chip.c"
    printf 'obj-m := gpio-sim.o\ngpio-sim-y := chip.o irq_sim.o\n' >"$folder/Kbuild"
    # `irq_to_desc` is not exported to modules; this call does the same by number.
    sed -i 's/handle_simple_irq(irq_to_desc(irqnum));/generic_handle_irq(irqnum);/' "$folder/irq_sim.c"
    compile_module "$folder"
}

build_v4l2loopback() {
    rm -rf "$cache/v4l2loopback"
    mkdir -p "$cache/v4l2loopback"
    cp "$cache"/headers/usr/src/v4l2loopback-*/*.[ch] "$cache/v4l2loopback/"
    echo 'obj-m := v4l2loopback.o' >"$cache/v4l2loopback/Kbuild"
    # A reader that starts gets the next picture, as from a camera, not what was written before it came.
    sed -i '/^static int vidioc_streamon/,/^}/s/opener->type = READER;/& opener->read_position = dev->write_position;/' \
        "$cache/v4l2loopback/v4l2loopback.c"
    # The files of an unplugged device went with it; removing them again would fill the kernel's log.
    sed -i '/^static void free_devices/,/^}/s/v4l2loopback_remove_sysfs(devs\[i\]->vdev);//' \
        "$cache/v4l2loopback/v4l2loopback.c"
    compile_module "$cache/v4l2loopback"
}

build_unplug() {
    rm -rf "$cache/unplug"
    mkdir -p "$cache/unplug"
    cp "$here/unplug.c" "$cache/unplug/"
    echo 'obj-m := unplug.o' >"$cache/unplug/Kbuild"
    compile_module "$cache/unplug"
}

# For the machine itself, cameras, a USB stick in a whole system, and the network of the emulated Raspberry Pi.
wanted="virtio_pci virtio_net virtio_blk ext4 crc32c_generic configfs gpio-sim v4l2loopback unplug vivid
xhci_pci usb-storage sd_mod vfat nls_ascii nls_cp437 nls_utf8 dwc2 phy-generic cdc_ether rndis_host"

# The modules that the machine uses and what they depend on, stripped of debugging information.
choose_modules() {
    local all=$cache/kernel few=$cache/modules.part module path
    rm -rf "$few" "$cache/modules"
    mkdir -p "$all/lib/modules/$release/updates" "$few/lib/modules/$release"
    cp "$cache"/{gpio-sim/gpio-sim,v4l2loopback/v4l2loopback,unplug/unplug}.ko "$all/lib/modules/$release/updates/"
    depmod -b "$all" "$release"
    for module in $wanted; do
        modprobe -d "$all" -S "$release" --show-depends "$module" >"$cache/depends" ||
            fail "kernel $release has no module $module; remove $cache and run this again"
        sed -n 's/^insmod \([^ ]*\).*/\1/p' "$cache/depends"
    done | sort -u | while read -r path; do
        path=${path#"$all"/}
        mkdir -p "$few/$(dirname "$path")"
        "$prefix-strip" -g -o "$few/$path" "$all/$path"
    done
    rm "$cache/depends"
    cp "$all/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$few/lib/modules/$release/"
    depmod -b "$few" "$release" 2>/dev/null
    echo "$wanted" >"$few/wanted"
    mv "$few" "$cache/modules"
}

keep_kernel() {
    cp "$cache/kernel/boot/vmlinuz-$release" "$cache/vmlinuz.part"
    cp "$cache/kernel/usr/lib/linux-image-$release/broadcom/bcm2837-rpi-3-b.dtb" "$cache/"
    mv "$cache/vmlinuz.part" "$cache/vmlinuz"
}

build_agent() {
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$prefix-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static' \
        cargo build --quiet --release --locked --manifest-path "$here/agent/Cargo.toml" --target $target \
        --target-dir "$cache/agent" || fail "the agent does not compile"
}

# The root file system. What a test needs besides goes there through the agent.
pack() {
    local root=$cache/root.part folder
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,etc,lib/aarch64-linux-gnu,proc,root,run,sys,tmp,var/lib}
    cp "$cache/library/bin/busybox" "$root/bin/"
    cp -r "$cache/modules/lib/modules" "$root/lib/"
    for folder in "$cache"/library/lib/aarch64-linux-gnu "$cache"/library/usr/lib/aarch64-linux-gnu; do
        [ -d "$folder" ] || continue
        find "$folder" -maxdepth 1 -name '*.so*' -exec cp -a {} "$root/lib/aarch64-linux-gnu/" \;
    done
    ln -s aarch64-linux-gnu/ld-linux-aarch64.so.1 "$root/lib/ld-linux-aarch64.so.1"
    cp "$here/init" "$root/init"
    cp "$cache/agent/$target/release/factory-agent" "$root/bin/"
    (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$cache/initramfs.part"
    rm -rf "$root"
    mv "$cache/initramfs.part" "$cache/initramfs"
}

install_packages
step kernel-package choose_kernel
read -r image version <"$cache/kernel-package"
image=${image%:arm64}:arm64
release=${image#linux-image-}
release=${release%:arm64}
series=$(echo "$release" | cut -d . -f 1,2)
# By content, since a fresh checkout is newer than any folder that was kept.
[ "$(cat "$cache/modules/wanted" 2>/dev/null)" = "$wanted" ] || rm -rf "$cache/modules"
cmp -s "$here/unplug.c" "$cache/unplug/unplug.c" || rm -rf "$cache"/{modules,unplug}
done_already bcm2837-rpi-3-b.dtb || rm -f "$cache/vmlinuz"
if ! done_already vmlinuz || ! done_already modules; then
    step kernel get_kernel
    step headers get_headers
    step gpio-sim get_gpio_sim
    step gpio-sim/gpio-sim.ko build_gpio_sim
    step v4l2loopback/v4l2loopback.ko build_v4l2loopback
    step unplug/unplug.ko build_unplug
    step modules choose_modules
    step vmlinuz keep_kernel
    # Four hundred megabytes, most of them modules that the machine does not use.
    rm -rf "$cache/kernel" "$cache/headers"
fi
step library get_library
build_agent
for part in "$here/init" "$cache/agent/$target/release/factory-agent" "$cache/modules" "$cache/library"; do
    # Compared by time: the agent is compiled anew when its source changed, and only then.
    [ "$cache/initramfs" -nt "$part" ] || rm -f "$cache/initramfs"
done
step initramfs pack
echo "ready: $cache, kernel $release, $(du -sm "$cache" | cut -f 1) MB"
