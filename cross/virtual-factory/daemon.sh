#!/usr/bin/env bash
# Builds the daemon, and the tests of real pins and cameras, for the virtual factory's machine, where the tests look for
# them; compiles less than a device's build, and runs slower. Options go to cargo.
set -euo pipefail
cd "$(dirname "$0")/../.."
PROFILE=release exec cross/build.sh aarch64 --test gpio_device --test v4l2 "$@"
