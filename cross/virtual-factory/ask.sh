#!/usr/bin/env bash
# Puts one command to the agent and prints its answer: `cross/virtual-factory/ask.sh 7001 value reject`.
# `put PATH FILE` sends a file of this computer; everything else goes as it is.
set -euo pipefail

[ $# -ge 2 ] || {
    echo "usage: cross/virtual-factory/ask.sh PORT COMMAND [ARGUMENT…]" >&2
    exit 2
}
port=$1
shift
exec 3<>"/dev/tcp/127.0.0.1/$port"
if [ "$1" = put ] && [ $# = 3 ]; then
    echo "put $2 $(stat -Lc %s "$3")" >&3
    cat "$3" >&3
else
    echo "$*" >&3
fi
read -r word length <&3 || {
    echo "error: the agent hung up; is the machine running?" >&2
    exit 2
}
head -c "$length" <&3
[ "$word" = ok ]
