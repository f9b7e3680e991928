#!/usr/bin/env bash
# Times shelfwatch against ONNX Runtime on this machine; options: `benches/peers/run.sh --help`.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$root/target/peers/venv

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --bin shelfwatch --example pace --example frame_pace
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
# NumPy's projection takes one thread as everything else does.
export OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$here/run.py" "$@"
