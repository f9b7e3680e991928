#!/usr/bin/env bash
# Checks a built program against what is promised of it: `cross/promises.sh PROGRAM [BYTES]`. It needs no newer C library
# than the Debian package says, or none at all where it is static, and it has no more than so many bytes.
set -euo pipefail

program=$1
most=${2:-}
promised=$(sed -n 's/^depends = "libc6 (>= \([0-9.]*\)).*/\1/p' "$(dirname "$0")/../Cargo.toml")
size=$(stat -c %s "$program")

if readelf -ldW "$program" | grep -E "INTERP|NEEDED" >/dev/null; then
    # The newest symbol version of the C library that it asks for.
    needed=$(grep -ao 'GLIBC_2\.[0-9]*' "$program" | sort -uV | tail -n 1 | sed 's/GLIBC_//')
    if [ "$(printf '%s\n%s\n' "$promised" "$needed" | sort -V | tail -n 1)" != "$promised" ]; then
        echo "the program needs glibc $needed and $promised is promised; build on an older system, or promise more" >&2
        exit 1
    fi
    library="glibc $needed or newer"
else
    library="no C library needed"
fi
if [ -n "$most" ] && [ "$size" -gt "$most" ]; then
    echo "the program has $size bytes and at most $most are promised; find what came in, or promise more" >&2
    exit 1
fi
echo "$library; $size bytes of program"
