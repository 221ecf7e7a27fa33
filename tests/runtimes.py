"""Keras beside ONNX Runtime, LiteRT and OpenVINO: how long a frame takes, and what 8 bits cost in quality.

    python tests/runtimes.py times 128x416 [--rounds 10] [--threads 1 2]
    python tests/runtimes.py calls 128x416
    python tests/runtimes.py loss streets [--count 300]
    python tests/runtimes.py loss KITTI

Not a test: it needs the runtimes (``pip install -e .[export]``). ``times`` measures everything interleaved, in one
process for each number of threads, and stores ``data/results/runtimes_{size}_threads_{n}.json``. ``calls`` times
windows of every size, with one thread: what a call costs besides its work, in ``runtimes_{size}_calls.json``. ``loss``
measures the same frames in every runtime and adds to ``data/results/runtimes_loss.json``: drawn test streets, or a
folder of KITTI's, each with the weights that are meant for it, at the size to which they have the photos scaled. The
8-bit ranges come from other streets (`export.CALIBRATION_SEED`). Exports that are not in ``data/cache/exports`` are
written to it.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from roidepth_lessons import CLASSES, DATA_FOLDER, LARGE_STREET_WEIGHTS, SHIPPED_WEIGHTS, kitti, study_book
from roidepth_lessons.session import start

RESULTS = DATA_FOLDER / "results"
CACHE = DATA_FOLDER / "cache"
FORMATS = "onnx", "litert", "openvino"
TIMED = [(kind, precision) for precision in ("float", "int8") for kind in FORMATS]
COMPARED = [("onnx", "float"), *((kind, "int8") for kind in FORMATS)]
"""A float export gives Keras's numbers in every runtime (tests/test_export.py); one is measured to show it."""
STREETS_SEED = 100_003
STREETS_SIZE = 128, 416
PHOTOS_SIZE = 224, 640
"""What `RoiDepth.prepare` makes of KITTI's photos for the weights for photos."""


# How long ------------------------------------------------------------------------------------------------------------


def make_exports(folder, size, weights, wanted):
    """The folders of some exports of one size, (format, precision) each; those that are missing are written."""
    folders = []
    for kind, precision in wanted:
        out = Path(folder) / "x".join(map(str, size)) / f"{kind}_{precision}"
        if not out.exists():
            words = ["export", out, "--format", kind, "--precision", precision, "--weights", weights]
            _command(*words, "--height", size[0], "--width", size[1])
        folders.append(out)
    return folders


def measure_times(size, exports, rounds, all_threads, wanted=TIMED):
    """`benchmark --exported` for each number of threads; TensorFlow's can't be changed within one process."""
    folders = make_exports(exports, size, SHIPPED_WEIGHTS, wanted)
    for threads in all_threads:
        out = RESULTS / f"runtimes_{size[0]}x{size[1]}_threads_{threads}.json"
        words = [word for folder in folders for word in ("--exported", folder)]
        words += ["--height", size[0], "--width", size[1], "--threads", threads, "--rounds", rounds, "--json", out]
        _command("benchmark", *words, stdout=subprocess.DEVNULL)
        print(f"{size[0]}x{size[1]}, threads: {threads}")
        print(times_table(json.loads(out.read_text(encoding="utf-8"))))


def times_table(figures):
    """What `benchmark.compare_runtimes` gives, as lines of text."""
    lines = [f"{'ms a frame (Keras = 1)':<24}{'detection':>18}{'with ROI depth':>18}{'head work':>11}"]
    for name, each in figures["runtimes"].items():
        cells = [f"{each[part]['ms']:.1f} ({each[part]['ratio']:.2f})" for part in ("detect", "roi")]
        lines.append(f"{name:<24}{cells[0]:>18}{cells[1]:>18}{each['head_work']:>11.1%}")
    return "\n".join(lines)


def measure_calls(size, exports, rounds):
    """What decoding a window costs in every runtime, however small it is, and a multiplication of it."""
    from keras import ops

    from roidepth_lessons import benchmark, benchmark_boxes, depth, export, model

    folders = make_exports(exports, size, SHIPPED_WEIGHTS, TIMED)
    runtimes = {"keras float": model.RoiDepth.load(SHIPPED_WEIGHTS)}
    runtimes |= {
        f"{kind} {precision}": export.load(each, 1) for (kind, precision), each in zip(TIMED, folders, strict=True)
    }
    buckets = runtimes["onnx float"].head_work
    cells = [side // depth.STRIDE for side in size]
    keras_float = runtimes["keras float"]
    plans = [benchmark_boxes.same_windows(keras_float, *window, 1, *cells) for window in buckets.sizes]
    features = np.random.default_rng(0).normal(size=(1, *benchmark.padded_size(*size), 48)).astype("float32")

    def timer(network):
        source = features if hasattr(network, "heads") else ops.convert_to_tensor(features)

        def decode(plan):
            network.decode(source, plan)  # see `benchmark.compare_runtimes`
            return benchmark.seconds_of(network.decode, source, plan)

        return decode

    seconds = benchmark.interleave(
        {name: timer(each) for name, each in runtimes.items()}, [(plan,) for plan in plans], rounds
    )
    windows, operations = [plan.windows for plan in plans], [plan.work for plan in plans]
    found = {}
    for name, each in seconds.items():
        found[name] = benchmark_boxes.fit_costs(windows, operations, 1000 * np.median(each, axis=0))
        both = found[name]["call_ms"] + found[name]["overhead_ms"]  # of one window each, they can't be told apart
        print(f"{name:<16} {both:.3f} ms a call of one window", flush=True)
    return {"height": size[0], "width": size[1], "threads": 1, "rounds": rounds, "runtimes": found}


def _command(*words, **options):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path[1:])}
    words = [sys.executable, "-m", "roidepth_lessons", *map(str, words)]
    subprocess.run(words, check=True, env=environment, **options)


# How good ------------------------------------------------------------------------------------------------------------


def measure_loss(data, exports, count):
    """The same frames in Keras and in every runtime; returns what `RESULTS` keeps of them."""
    from roidepth_lessons import evaluate, export, measures, model

    size, weights = (STREETS_SIZE, SHIPPED_WEIGHTS) if data == "streets" else (PHOTOS_SIZE, LARGE_STREET_WEIGHTS)
    folders = make_exports(exports, size, weights, COMPARED)
    root = CACHE / "test_streets" if data == "streets" else Path(data)
    if data == "streets":
        _command("streets", root, "--count", count, "--seed", STREETS_SEED)
    frame_ids = kitti.frame_ids(root)[:count]
    runtimes = {"keras float": lambda: model.RoiDepth.load(weights)}
    for (kind, precision), folder in zip(COMPARED, folders, strict=True):
        runtimes[f"{kind} {precision}"] = lambda folder=folder: export.load(folder)
    found, first = {}, None
    for name, load in runtimes.items():
        network = load()
        rows, groups, over = evaluate.measure_frames(network, root, frame_ids)
        figures = _main_figures(measures.summarise(rows, "auto", groups, over))
        first = first or rows
        found[name] = (
            figures | changes(first, rows, groups) | {"difference": getattr(network, "card", {}).get("difference")}
        )
        print(f"{name}: {figures}", flush=True)
    return {
        "frames": len(frame_ids), "weights": Path(weights).name, "height": size[0], "width": size[1],
        "interval_over": over, "runtimes": found,
    }  # fmt: skip


def _main_figures(figures):
    detection, distance = figures["detection"], figures["distance"]
    return {
        "ap50": {name: detection[name]["ap50"] for name in CLASSES},
        "ap50_moderate": {name: detection[name]["ap50_moderate"] for name in CLASSES},
        "labelled": {name: detection[name]["count"] for name in CLASSES},
        "distance_error": distance["all"]["abs_rel"],
        "objects": distance["all"]["count"],
        "distance_error_interval": distance["all"]["abs_rel_interval"],
        "distance_error_of_detection_head": figures["distance_instance"]["all"]["abs_rel"],
        "depth_error_inside_boxes": figures["depth"]["inside_boxes"]["abs_rel"],
        "depth_error_of_image": figures["depth"]["image"]["abs_rel"],
        "head_work": figures["head_work"]["mean"],
    }


def changes(before, after, groups):
    """What another runtime changes: intervals (95 %) of the difference, both measured on the same drawn frames.

    Args:
        before, after: Rows of `evaluate.measure_frame`, of the same frames.
        groups: The drive of each frame, or the frame itself: whole groups are drawn.

    Returns:
        ``distance_error_change_interval``, a share of the error before; ``ap50_moderate_change_interval`` by class, by
        KITTI's rules.
    """
    from roidepth_lessons import measures, metrics

    times = metrics.draw_groups(groups)
    errors = [_mean_errors(rows, times) for rows in (before, after)]
    precision = {
        name: [measures.resampled_precision(rows, name, times) for rows in (before, after)] for name in CLASSES
    }
    return {
        "distance_error_change_interval": metrics.percentile_interval(errors[1] / errors[0] - 1),
        "ap50_moderate_change_interval": {
            name: metrics.percentile_interval(other - one) for name, (one, other) in precision.items()
        },
    }


def _mean_errors(rows, times):
    """Mean relative distance errors of bootstrap samples: (samples,), NaN where one has no object."""
    pairs = [row["pairs"] for row in rows]
    sums = np.array([np.abs(each["distance"] / each["true_distance"] - 1).sum() for each in pairs])
    counts = np.array([len(each["distance"]) for each in pairs])
    with np.errstate(invalid="ignore"):
        return times @ sums / (times @ counts)


# The command ---------------------------------------------------------------------------------------------------------


def _size(text):
    return tuple(int(side) for side in text.split("x"))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("times", "calls", "loss"))
    parser.add_argument("on", help="times, calls: HEIGHTxWIDTH; loss: streets, or a folder in the KITTI layout")
    parser.add_argument("--exports", default=CACHE / "exports", help="folder of exports (default: data/cache/exports)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="times: how many, each in its turn")
    names = ["_".join(each) for each in TIMED]
    parser.add_argument("--runtimes", nargs="+", choices=names, default=names, help="times: which beside Keras")
    parser.add_argument("--count", type=int, default=300, help="frames at most")
    options = parser.parse_args(arguments)
    if options.what == "times":
        wanted = [tuple(each.split("_")) for each in options.runtimes]
        measure_times(_size(options.on), options.exports, options.rounds, options.threads, wanted)
        return
    if options.what == "calls":
        start(threads=1)
        facts = study_book.facts(f"python tests/runtimes.py calls {options.on}")
        figures = facts | measure_calls(_size(options.on), options.exports, options.rounds)
        kitti.write_json(RESULTS / f"runtimes_{options.on}_calls.json", figures)
        return
    start()
    figures = measure_loss(options.on, options.exports, options.count)
    name = "streets" if options.on == "streets" else "photos"
    command = f"python tests/runtimes.py loss {'streets' if name == 'streets' else 'KITTI'} --count {options.count}"
    out = RESULTS / "runtimes_loss.json"
    stored = kitti.read_json(out) if out.exists() else {}
    stored[name] = study_book.facts(command) | figures
    kitti.write_json(out, stored)


if __name__ == "__main__":
    main()
