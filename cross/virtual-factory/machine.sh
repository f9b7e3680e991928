#!/usr/bin/env bash
# Starts the virtual factory's machine, its console on the terminal: `cross/virtual-factory/machine.sh target/factory`.
# Needs what prepare.sh left in the folder; becomes qemu, so that ending this process is a power cut.
set -euo pipefail

usage() {
    cat >&2 <<'END'
usage: cross/virtual-factory/machine.sh FOLDER [options]
  --agent PORT          the agent is reached at 127.0.0.1:PORT (see ask.sh)
  --call PORT           the agent calls 127.0.0.1:PORT when it is ready
  --forward PORT:GUEST  127.0.0.1:PORT of this computer is the machine's port GUEST
  --disk FILE           an ext4 image, mounted on /data; what was synced to it outlives the machine
  --system FILE         the disk of a whole system (system.sh makes one), which is started instead of the bare agent
  --board               a Raspberry Pi 3 with its real pin controller instead of QEMU's own machine; without disks
  --more FILE           a cpio archive of further files for the start; by a board's USB network they come slowly
  --monitor SOCKET      QEMU's monitor, by which a USB stick can be plugged in
  --shell               a shell on the console
END
    exit 2
}

[ $# -ge 1 ] || usage
folder=$1
shift
network=user,id=net0
words="console=ttyAMA0 quiet panic=-1 audit=0 mitigations=off nokaslr"
options=()
board=
more=
monitor=()
while [ $# != 0 ]; do
    case $1 in
        --shell)
            words+=" factory.shell"
            shift
            continue
            ;;
        --board)
            board=yes
            shift
            continue
            ;;
        --agent | --call | --forward | --disk | --system | --more | --monitor) [ $# -ge 2 ] || usage ;;
        *) usage ;;
    esac
    case $1 in
        --agent) network+=",hostfwd=tcp:127.0.0.1:$2-:7001" ;;
        --call) words+=" factory.call=$2" ;;
        --forward) network+=",hostfwd=tcp:127.0.0.1:${2%%:*}-:${2##*:}" ;;
        # Before any other disk, whatever the order of the options.
        --system)
            words+=" factory.system"
            options=(-drive "file=$2,format=raw,if=none,id=system" -device virtio-blk-pci,drive=system
                ${options[@]+"${options[@]}"})
            ;;
        --more) more=$2 ;;
        --monitor) monitor=(-monitor "unix:$2,server,nowait") ;;
        --disk) options+=(-drive "file=$2,format=raw,if=none,id=disk" -device "virtio-blk-pci,drive=disk") ;;
    esac
    shift 2
done

for part in vmlinuz initramfs; do
    [ -e "$folder/$part" ] || {
        echo "error: $folder/$part is missing; run cross/virtual-factory/prepare.sh $folder" >&2
        exit 2
    }
done
command -v qemu-system-aarch64 >/dev/null || {
    echo "error: qemu-system-aarch64 is missing; install qemu-system-arm" >&2
    exit 2
}
initramfs=$folder/initramfs
if [ -n "$more" ]; then
    # The kernel unpacks archives that follow each other. The file has no name any more once the emulator has it open.
    initramfs=$(mktemp)
    cat "$folder/initramfs" "$more" >"$initramfs"
    exec 9<"$initramfs"
    rm "$initramfs"
    initramfs=/proc/self/fd/9
fi
if [ -n "$board" ]; then
    # Its console is the second serial port, its network hangs on USB, and its memory is what a Pi 3 has.
    exec qemu-system-aarch64 -M raspi3b -accel tcg,thread=multi -display none -serial null -serial stdio -no-reboot \
        ${monitor[@]+"${monitor[@]}"} -kernel "$folder/vmlinuz" -initrd "$initramfs" \
        -dtb "$folder/bcm2837-rpi-3-b.dtb" -append "${words/ttyAMA0/ttyS1,115200} factory.board" \
        -netdev "$network" -device usb-net,netdev=net0
fi
exec qemu-system-aarch64 -M virt,gic-version=2 -cpu cortex-a72 -smp 2 -m 512 -accel tcg,thread=multi \
    -nographic -no-reboot -kernel "$folder/vmlinuz" -initrd "$initramfs" -append "$words" \
    ${monitor[@]+"${monitor[@]}" -device qemu-xhci} \
    -netdev "$network" -device virtio-net-pci,netdev=net0,romfile= ${options[@]+"${options[@]}"}
