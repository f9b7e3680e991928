#!/usr/bin/env python3
"""What LLVM's models of ARM cores say of the inner loops of the kernels: cycles for one pass, products for one cycle.

    benches/arm/mca.py

Needs aarch64-linux-gnu-gcc with its objdump, and llvm-mca (LLVM_MCA names another). A model knows a core's pipes, not its
caches: what it says is the best that can be. Loops are found in the compiled example `mobile`: of a kernel's loops without
loops inside, the one with the most products.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = "aarch64-unknown-linux-gnu"
OBJDUMP = "aarch64-linux-gnu-objdump"
# Products of bytes, or of reals, that one instruction adds up.
PRODUCTS = {"smull": 8, "smull2": 8, "smlal": 8, "smlal2": 8, "sdot": 16, "smmla": 32, "fmla": 4}
# Part of a kernel's name, and the cores whose kernel it is.
KERNELS = [
    ("kernel::neon::tile", ["cortex-a53", "cortex-a72"]),
    ("kernel::neon::depthwise", ["cortex-a53", "cortex-a72"]),
    ("kernel::neon::reals::panel", ["cortex-a72"]),
    ("kernel::dot::tile", ["cortex-a76", "neoverse-n1"]),
    ("kernel::i8mm::tile", ["neoverse-n2"]),
]
PASSES = 200
INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(\S+)(?:\t([^/]*))?")


def run(*command, text=None):
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"`{' '.join(map(str, command))}` failed: {done.stderr.strip()}")
    return done.stdout


def functions(program):
    """Name and instructions (address, operation, operands) of each function."""
    name, body = None, []
    for line in run(OBJDUMP, "-d", "--no-show-raw-insn", "-C", program).splitlines():
        if head := re.match(r"^[0-9a-f]+ <(.*)>:$", line):
            if body:
                yield name, body
            name, body = head[1], []
        elif found := INSTRUCTION.match(line):
            body.append((int(found[1], 16), found[2], (found[3] or "").strip()))
    if body:
        yield name, body


def products(loop):
    return sum(PRODUCTS.get(operation, 0) for _, operation, _ in loop)


def inner_loop(body):
    """The loop with the most products among those without another inside."""
    loops = []
    for at, (address, operation, operands) in enumerate(body):
        goal = re.search(r"\b([0-9a-f]+) <", operands)
        if operation.startswith(("b.", "cb", "tb")) and goal and body[0][0] <= int(goal[1], 16) <= address:
            start = next(i for i, line in enumerate(body) if line[0] == int(goal[1], 16))
            loops.append((start, at))
    inner = [a for a in loops if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    return max((body[start : end + 1] for start, end in inner), key=products, default=[])


def assembly(loop):
    lines = ["again:"]
    for _, operation, operands in loop:
        lines.append(f"\t{operation}\t{re.sub(r'[0-9a-f]+ <[^>]*>', 'again', operands)}")
    return "\n".join(lines) + "\n"


def main():
    mca = os.environ.get("LLVM_MCA") or shutil.which("llvm-mca")
    if not mca or not shutil.which(OBJDUMP):
        raise SystemExit("needs llvm-mca and objdump for arm64: sudo apt-get install llvm gcc-aarch64-linux-gnu")
    os.environ.setdefault(f"CARGO_TARGET_{TARGET.upper().replace('-', '_')}_LINKER", "aarch64-linux-gnu-gcc")
    os.chdir(ROOT)
    run("cargo", "build", "--quiet", "--locked", "--release", "-p", "shelfwatch-network", "--target", TARGET,
        "--example", "mobile")
    program = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / TARGET / "release/examples/mobile"
    best = {}
    for name, body in functions(program):
        for kernel, _ in KERNELS:
            loop = inner_loop(body)
            if kernel in name and products(loop) > products(best.get(kernel, [])):
                best[kernel] = loop
    version = re.search(r"version (\S+)", run(mca, "--version"))
    print(f"llvm-mca {version[1] if version else '?'}; a pass of the inner loop")
    print(f"{'kernel':28} {'core':12} {'instructions':>12} {'products':>8} {'cycles':>7} {'products/cycle':>14}")
    for kernel, cores in KERNELS:
        if kernel not in best:
            sys.exit(f"no loop of products found in {kernel}")
        for core in cores:
            said = run(mca, "-mtriple=aarch64", f"-mcpu={core}", f"-iterations={PASSES}", text=assembly(best[kernel]))
            cycles = int(re.search(r"^Total Cycles: +(\d+)", said, re.M)[1]) / PASSES
            count = products(best[kernel])
            print(f"{kernel:28} {core:12} {len(best[kernel]):12} {count:8} {cycles:7.1f} {count / cycles:14.1f}")


if __name__ == "__main__":
    main()
