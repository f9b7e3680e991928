"""A 1080p JPEG file to a verdict: shelfwatch against the Python that a user would write around ONNX Runtime."""

import pathlib
import subprocess

import cv2
import numpy as np

import ort_pace
import rounds
import scenes

WIDTH, HEIGHT = 1920, 1080
FRAMES = 8  # files that are judged one after the other
GOOD = 300  # pictures that the shelf is fitted on, where no kit gives them
QUALITY = 90
COMPONENTS = 64
FALSE_ALARMS = 0.01


class Pipeline:
    """Decode, resize, normalise, run, score, compare with a threshold."""

    def __init__(self, model, feature, logits, size, mean, std):
        self.session = ort_pace.session(ort_pace.with_outputs(model, [feature, logits]))
        self.name = self.session.get_inputs()[0].name
        self.size, self.mean, self.std = size, np.float32(mean), np.float32(std)

    def run(self, file):
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        image = cv2.resize(image, (self.size, self.size))
        image = (image.astype(np.float32) / 255 - self.mean) / self.std
        feature, logits = self.session.run(None, {self.name: np.ascontiguousarray(image.transpose(2, 0, 1)[None])})
        return feature[0].ravel(), logits[0]

    def fit(self, files):
        """NECO's projection of standardised features, and the threshold."""
        features = np.stack([self.run(file)[0] for file in files])
        self.centre, scale = features.mean(0), features.std(0)
        self.scale = np.where(scale > 0, scale, 1).astype(np.float32)
        _, _, axes = np.linalg.svd((features - self.centre) / self.scale, full_matrices=False)
        self.axes = np.ascontiguousarray(axes[:COMPONENTS])
        self.threshold = np.quantile([self.score(feature) for feature in features], FALSE_ALARMS)

    def score(self, feature):
        z = (feature - self.centre) / self.scale
        return np.linalg.norm(self.axes @ z) / np.linalg.norm(z)

    def verdict(self, file):
        feature, logits = self.run(file)
        return self.score(feature) >= self.threshold, int(logits.argmax())


def pictures(folder, kit):
    """Frames to judge and good pictures to fit on."""
    folder.mkdir(parents=True, exist_ok=True)
    good = folder / "good"
    if kit:
        good = kit / "steel/images/fit"
        shown = sorted((kit / "steel/images/id_test").rglob("*.jpg"))
        shown = [cv2.imread(str(file)) for file in shown[:: len(shown) // FRAMES][:FRAMES]]
        shown = [cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for picture in shown]
    else:
        good.mkdir(exist_ok=True)
        for i in range(GOOD):
            cv2.imwrite(str(good / f"{i:04}.jpg"), scenes.scene(2000 + i, 320, 180))
        shown = [scenes.scene(9000 + i, WIDTH, HEIGHT) for i in range(FRAMES)]
    frames = []
    for i, picture in enumerate(shown):
        # What a sensor adds: enlarged pictures have nothing fine in them, and decoding them would be too easy.
        noise = np.random.default_rng(i).normal(0, 2, picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
        frames.append(folder / f"frame-{i}.jpg")
        cv2.imwrite(str(frames[-1]), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return frames, good


def fit(shelfwatch, model, good, size, mean, std, draft, shelf):
    """A shelf of the same score as the pipeline's; with `draft` it decodes large JPEGs at reduced scale."""
    recipe = shelf.with_suffix(".toml")
    text = f"size = [{size}, {size}]\nmean = {[float(m) for m in mean]}\nstd = {[float(s) for s in std]}\n"
    recipe.write_text(text + ("draft = true\n" if draft else ""))
    command = [
        shelfwatch, "fit", "--backbone", model, "--images", good, "--preprocess", recipe, "--scaler", "standard",
        "--dim", COMPONENTS, "--alpha-reject", "auto", "--alpha-review", "auto", "-o", shelf,
    ]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stderr}`{' '.join(map(str, command))}` failed")


def measure(arguments, facts):
    """One result for each network; `facts` gives what pace says of a file."""
    networks = {"mobilenetv2_int8": (arguments.models / "mobilenetv2_int8.onnx", 224, scenes.MEAN, scenes.STD)}
    if arguments.kit:
        file = arguments.kit / "steel/models/mobilenetv2_100_int8_qdq.onnx"
        networks["steel/mobilenetv2_100_int8_qdq"] = (file, 128, [0.5] * 3, [0.5] * 3)
    networks = {name: rest for name, rest in networks.items() if not arguments.only or arguments.only in name}
    if not networks:
        return []
    cv2.setNumThreads(1)
    folder = arguments.models.parent / ("frame-kit" if arguments.kit else "frame")
    frames, good = pictures(folder, arguments.kit)
    kilobytes = sum(frame.stat().st_size for frame in frames) / len(frames) / 1e3
    print(f"\n{WIDTH}x{HEIGHT} JPEG files of {kilobytes:.0f} kB on average to a verdict, one thread; "
          f"OpenCV {cv2.__version__}, NumPy {np.__version__}")
    print(f"{'network':36} {'ours ms':>8} {'Python ms':>9} {'ratio':>6}  {'quartiles':>11}   same class")
    taken = []
    for name, (model, size, mean, std) in networks.items():
        seen = facts(arguments.pace, model)
        pipeline = Pipeline(model, seen["feature"], seen["logits"], size, mean, std)
        pipeline.fit(sorted(good.rglob("*.jpg")))
        theirs = [pipeline.verdict(frame)[1] for frame in frames]
        for draft in (False, True):
            name = f"{name}, draft" if draft else name
            shelf = folder / f"{pathlib.Path(name).name}.shelf"
            fit(arguments.shelfwatch, model, good, size, mean, std, draft, shelf)
            rounds.share(1)
            with rounds.Runner([arguments.frame_pace, shelf, *frames]) as ours:
                classes = [reading["class"] for reading in ours.facts]
                times, busy = rounds.in_turn(ours, rounds.Local(pipeline.verdict, frames), arguments.rounds)
            same = sum(a == b for a, b in zip(classes, theirs))
            result = rounds.summary(times, busy)
            taken.append({"network": name, **result, "same": same, "of": len(frames), "rounds": times})
            print(f"{name:36} {rounds.columns(result)}   {same}/{len(frames)}", flush=True)
    return taken
