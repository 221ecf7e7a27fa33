"""What windows of a few fixed sizes cost beside windows of exactly the size that is wanted.

    python tests/window_buckets.py KITTI

KITTI is a folder in KITTI's layout with ``drives.tsv`` and ``labels_only.tar.gz``, the label files of 7,432 frames.
Nobody says from which drive those are, so the sizes are chosen on three kinds of frames and measured on others:

- ``label files``: on every sixth of them, measured on the one after each, which may be of the same drive;
- ``drives``: on the frames of every second drive of ``drives.tsv``, measured on those of the other drives;
- ``streets``: on drawn streets, measured on the same label files as the first.

The default sizes of `export` were chosen as the eleven of the first kind. Counted work, no clock; stored in
``data/results/window_buckets.json``.
"""

import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from roidepth_lessons import CLASSES, DATA_FOLDER, kitti, study_book
from roidepth_lessons.session import start

OUT = DATA_FOLDER / "results" / "window_buckets.json"
SIZES = (128, 416), (384, 1248)
PHOTO_SIZE = 375, 1242
COUNTS = 3, 7, 11, 15, 23
STREETS, STREETS_SEED = 100, 100_102
POWERS = 8, 16, 32, 64, 128, 256


def wanted_sizes(frames, rows, columns, work):
    """(n, 2): rows and columns of all windows that are planned for the boxes of some frames."""
    from roidepth_lessons import roi

    windows = np.concatenate([roi.plan_windows(boxes, rows, columns, work).windows for boxes in frames])
    return windows[:, 2:] - windows[:, :2]


def choose_sizes(wanted, rows, columns, work, count):
    """Sizes of windows, the most useful first: each is the one that saves most beside those before it.

    Args:
        wanted: (n, 2) rows and columns in cells of windows as they are wanted.
        rows, columns: Cells of the frame, which is always there as the last resort.
        work: A `depth.HeadWork`.
        count: How many.

    Returns:
        A list of (rows, columns).
    """
    heights = np.array(sorted({*range(4, rows, max(2, rows // 16)), rows}))
    widths = np.array(sorted({*range(4, columns, max(2, columns // 26)), columns}))
    candidates = np.stack(np.meshgrid(heights, widths, indexing="ij"), axis=-1).reshape(-1, 2)
    cost = work(candidates[:, 0], candidates[:, 1]).astype(float)
    cost = np.where((candidates >= wanted[:, None]).all(axis=-1), cost, np.inf)
    now, chosen = np.full(len(wanted), float(work(rows, columns))), []
    for _ in range(count):
        best = int(np.minimum(now[:, None], cost).sum(axis=0).argmin())
        chosen.append(tuple(candidates[best].tolist()))
        now = np.minimum(now, cost[:, best])
    return chosen


def measure_sizes(frames, rows, columns, work, sizes):
    """The work of exact windows and of windows of these sizes, as shares of full decoding.

    Returns:
        ``exact``, ``planned`` (the planner knows the sizes, as in `export`), ``enlarged`` (it doesn't, and its
        windows are enlarged afterwards): the means over the frames; ``planned_over_exact``, ``enlarged_over_exact``:
        their ratios; ``most``, of a frame, and ``windows``, the mean per frame, as planned.
    """
    from roidepth_lessons import export, roi

    buckets, full = export.Buckets(sizes, rows, columns, work), float(work(rows, columns))
    exact, planned = ([roi.plan_windows(boxes, rows, columns, by) for boxes in frames] for by in (work, buckets))
    sides = [plan.windows[:, 2:] - plan.windows[:, :2] for plan in exact]
    enlarged = float(np.mean([buckets(side[:, 0], side[:, 1]).sum() for side in sides])) / full
    shares = {"exact": [each.share for each in exact], "planned": [each.share for each in planned]}
    means = {name: float(np.mean(each)) for name, each in shares.items()} | {"enlarged": enlarged}
    return {
        "sizes": [list(size) for size in buckets.sizes],
        **means,
        "planned_over_exact": means["planned"] / means["exact"],
        "enlarged_over_exact": means["enlarged"] / means["exact"],
        "most": max(shares["planned"]),
        "windows": float(np.mean([len(each.windows) for each in planned])),
    }


def read_sources(root, size):
    """By kind, boxes of the frames to choose on and of the frames to measure on."""
    from roidepth_lessons import benchmark, streets

    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(Path(root) / "labels_only.tar.gz") as files:
            files.extractall(folder, filter="data")
        labels = benchmark.label_boxes(Path(folder) / "labels_only" / "label_2", PHOTO_SIZE, size)
    drives = kitti.read_drives(Path(root) / "drives.tsv")
    halves = [], []
    for number, drive in enumerate(sorted(set(drives.values()))):
        halves[number % 2].extend(frame_id for frame_id in sorted(drives) if drives[frame_id] == drive)
    boxes = dict(
        zip(
            kitti.frame_ids(root),
            benchmark.label_boxes(Path(root) / "training" / "label_2", PHOTO_SIZE, size),
            strict=True,
        )
    )
    scenes = [streets.draw_street([STREETS_SEED, index], *SIZES[0]) for index in range(STREETS)]
    scale = size[0] / SIZES[0][0]
    drawn = [np.reshape([each.box for each in scene.select(*CLASSES)], (-1, 4)) for scene in scenes]
    drawn = [(each + 0.5) * scale - 0.5 for each in drawn]
    return {
        "label files": (labels[::6], labels[1::6]),
        "drives": tuple([boxes[frame_id] for frame_id in half] for half in halves),
        "streets": (drawn, labels[1::6]),
    }


def measure(root, size):
    """All choices of sizes for one size of the photo, each on frames that it was not made on."""
    from roidepth_lessons import depth, export

    rows, columns = (side // depth.STRIDE for side in size)
    work = depth.HeadWork(depth.build_depth_head())
    found = {}
    for kind, (chosen_on, measured_on) in read_sources(root, size).items():
        wanted = wanted_sizes(chosen_on, rows, columns, work)
        ways = {f"chosen {count}": choose_sizes(wanted, rows, columns, work, count) for count in COUNTS}
        if kind != "streets":
            ways["default"] = export.default_windows(rows, columns)
        if kind == "label files":
            heights, widths = ([each for each in POWERS if each < side] + [side] for side in (rows, columns))
            ways["powers of two"] = [(high, wide) for high in heights for wide in widths]
        figures = {name: measure_sizes(measured_on, rows, columns, work, sizes) for name, sizes in ways.items()}
        found[kind] = {"chosen_on_frames": len(chosen_on), "measured_on_frames": len(measured_on), "ways": figures}
        for name, each in figures.items():
            ratio = (
                f"{each['planned_over_exact']:.2f} times the exact work, {each['enlarged_over_exact']:.2f} if enlarged"
            )
            print(f"{size[0]}x{size[1]}, {kind:<12} {name:<16} {len(each['sizes']):>3} sizes: {ratio}", flush=True)
    return found


if __name__ == "__main__":
    start(threads=1)
    figures = {"x".join(map(str, size)): measure(sys.argv[1], size) for size in SIZES}
    command = "python tests/window_buckets.py KITTI"
    kitti.write_json(OUT, study_book.facts(command) | figures)
