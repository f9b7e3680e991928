#!/usr/bin/env bash
# Builds the daemon for the virtual factory's machine, where the tests look for it; compiles less than a device's build,
# and runs slower. Options go to cargo.
set -euo pipefail
cd "$(dirname "$0")/../.."
PROFILE=release exec cross/build.sh aarch64 "$@"
