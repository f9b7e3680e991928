"""One network in shelfwatch and in ONNX Runtime: time for one image, and whether both compute the same.

Started by run.sh, which builds and installs what it needs.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

import frame
import models
import rounds
import scenes

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COMPARED = 8  # scenes that both are compared on
ALIKE = 0.9  # correlation of logits below which it is not the same network


def lines(command):
    """A command's JSON lines."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"`{' '.join(map(str, command))}` failed; its reason stands above")
    return [json.loads(line) for line in done.stdout.splitlines()]


def facts(pace, model):
    """What pace says of a network."""
    with tempfile.NamedTemporaryFile() as nothing:
        return lines([pace, model, "--input", nothing.name])[0]


def agreement(pace, model):
    """Ours against ONNX Runtime as it is timed, and against it without optimisations."""
    seen = facts(pace, model)
    tensors = [scenes.tensor(seed, seen["shape"][2]) for seed in range(5000, 5000 + COMPARED)]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "tensors"
        np.concatenate(tensors).tofile(file)
        ours = lines([pace, model, "--input", file])[1:]
        taps = ["--feature", seen["feature"], "--logits", seen["logits"]]
        peer = [sys.executable, HERE / "ort_pace.py", model, "--input", file, *taps]
        return {"timed": compare(ours, lines(peer)), "exact": compare(ours, lines([*peer, "--exact"]))}


def compare(ours, peer):
    """Scenes of one class, the least correlation of logits, and the largest difference by the largest value."""
    result = {}
    for role in ("feature", "logits"):
        a, b = (np.array([seen[role] for seen in side]) for side in (ours, peer))
        result[role] = float(np.abs(a - b).max() / np.abs(b).max())
    same = int((a.argmax(1) == b.argmax(1)).sum())
    return {"same": same, "of": len(ours), "correlation": min(map(correlation, a, b)), **result}


def correlation(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def files(arguments):
    """The networks by name."""
    built = models.build(arguments.models, arguments.only)
    found = {file.stem: file for file in built}
    for file in sorted(arguments.kit.glob("*/models/*.onnx")) if arguments.kit else []:
        found[f"{file.parent.parent.name}/{file.stem}"] = file
    return {name: file for name, file in found.items() if not arguments.only or arguments.only in name}


def measure(arguments):
    """One result for each network and number of threads."""
    print("agreement: same class, correlation of logits, largest difference of features and of logits by the largest")
    print("value; with ONNX Runtime as it is timed | without its optimisations")
    print(f"{'network':36} {'threads':>7} {'ours ms':>8} {'ORT ms':>9} {'ratio':>6}  {'quartiles':>11}   agreement")
    taken = []
    for name, file in files(arguments).items():
        rounds.share(None)
        agreed = agreement(arguments.pace, file)
        if not agreed["exact"]["correlation"] > ALIKE:
            raise SystemExit(f"{name}: both do not compute the same ({agreed['exact']}); its times would say nothing")
        words = "{same}/{of} {correlation:.3f} {feature:.0e} {logits:.0e}"
        both = " | ".join(words.format(**against) for against in agreed.values())
        for threads in [int(number) for number in arguments.threads.split(",")]:
            # One thread is what pace takes without being asked.
            asked = ["--threads", threads] if threads > 1 else []
            peer = [sys.executable, HERE / "ort_pace.py", file, "--threads", threads]
            rounds.share(threads)
            with rounds.Runner([arguments.pace, file, *asked]) as ours, rounds.Runner(peer) as theirs:
                times, busy = rounds.in_turn(ours, theirs, arguments.rounds)
                loads = {"ours_load_ms": ours.facts["load_ms"], "peer_load_ms": theirs.facts["load_ms"]}
            result = rounds.summary(times, busy)
            taken.append(
                {"network": name, "threads": threads, **result, **loads, "agreement": agreed, "rounds": times}
            )
            print(f"{name:36} {threads:7} {rounds.columns(result)}   {both}", flush=True)
    return taken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kit", type=pathlib.Path, help="folder of real networks and pictures to take as well")
    parser.add_argument("--only", help="networks with this in their name")
    parser.add_argument("--threads", default="1", help="numbers of threads, as 1,2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-frame", action="store_true", help="leave out the whole way from file to verdict")
    parser.add_argument("--json", type=pathlib.Path, help="write every single time there")
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / "target/peers/models", help="folder for networks")
    built = ROOT / "target/release"
    parser.add_argument("--pace", type=pathlib.Path, default=built / "examples/pace")
    parser.add_argument("--frame-pace", type=pathlib.Path, default=built / "examples/frame_pace")
    parser.add_argument("--shelfwatch", type=pathlib.Path, default=built / "shelfwatch")
    arguments = parser.parse_args()

    if not files(arguments):
        raise SystemExit(f"no network has {arguments.only} in its name")
    print(f"ONNX Runtime {onnxruntime.__version__}; ratio: its time / ours, above 1 ours is faster; ?: too busy")
    networks = measure(arguments)
    frames = [] if arguments.no_frame else frame.measure(arguments, facts)
    if arguments.json:
        result = {"onnxruntime": onnxruntime.__version__, "networks": networks, "frames": frames}
        arguments.json.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
