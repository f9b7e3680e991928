#!/usr/bin/env bash
# Builds the daemon, the tests of real pins and cameras, and the example that compares features, for the virtual factory's machine, where the tests look for
# them; compiles less than a device's build, and runs slower. Options go to cargo.
set -euo pipefail
cd "$(dirname "$0")/../.."
PROFILE=release exec cross/build.sh aarch64 --test gpio_device --test v4l2 --example features "$@"
