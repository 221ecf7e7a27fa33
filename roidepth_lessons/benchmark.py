"""What ROI decoding saves: on the clock, interleaved in one run (ratios, not records), and as counted work."""

import time
from functools import partial
from pathlib import Path

import keras
import numpy as np

from . import CLASSES, detection, kitti, roi, streets
from .depth import HALO
from .model import RoiDepth

KINDS = ("detect", "roi", "full")


def planners(model):
    """How each of `KINDS` plans its windows: a function of boxes and the size of the padded features; None: not at all.

    Args:
        model: A `model.RoiDepth`.
    """
    return {"detect": None, **{kind: partial(model.plan, mode=kind) for kind in KINDS[1:]}}


def benchmark(model, height=128, width=416, frames=12, rounds=10, seed=0):
    """Times one photo at a time on drawn streets with their labelled boxes.

    The boxes are those of the labels, so that the figures don't depend on how well the network was trained: the
    network runs as ever, then the windows around the labelled boxes are planned and decoded.

    Args:
        model: A `model.RoiDepth`.
        height, width: Size of the photos in pixels; multiples of 32.
        frames: How many streets.
        rounds: How often each is timed. The order changes every time; the first round only warms up.
        seed: Seed of the streets.

    Returns:
        A dictionary: ``detect_ms``, ``roi_ms``, ``full_ms`` medians for the whole frame; ``roi_head_ms``,
        ``full_head_ms`` for the depth head alone; ``roi_over_full``, ``roi_over_detect`` medians of the paired ratios
        with their 5 to 95 % range; ``head_share`` of the head in the full frame's time; ``head_work`` the mean counted
        work of the windows as a share of the full head's; ``boxes`` per frame.
    """
    check_times(height, width, frames, rounds)
    scenes = [streets.draw_street([seed, index], height, width) for index in range(frames)]
    cases = [(scene.image, scene.camera, _boxes(scene)) for scene in scenes]
    seconds = time_cases(model, cases, planners(model), rounds, seed)
    shares = [model.plan(boxes, padded_size(height, width), "roi").share for *_, boxes in cases]
    boxes = float(np.mean([len(boxes) for *_, boxes in cases]))
    summary = {"boxes": boxes, **summarise_times(seconds), "head_work": float(np.mean(shares))}
    return {"height": height, "width": width, "frames": frames, "rounds": rounds, **summary}


def padded_size(height, width):
    """Rows and columns of the padded features of a photo."""
    return height // roi.STRIDE + 2 * HALO, width // roi.STRIDE + 2 * HALO


def check_times(height, width, frames, rounds):
    """Raises ValueError unless the sizes are multiples of 32 and something is to be timed."""
    check_size(height, width)
    if frames < 1 or rounds < 1:
        raise ValueError(f"frames and rounds must be at least 1, got {frames} and {rounds}")


def check_size(height, width):
    """Raises ValueError unless both are multiples of 32."""
    if height % 32 or width % 32:
        raise ValueError(f"height and width must be multiples of 32, got {height}x{width}")


def _boxes(scene):
    return np.array([each.box for each in scene.select(*CLASSES)]).reshape(-1, 4)


def time_cases(model, cases, plans, rounds, seed=0):
    """Times every way to decode on every case, in an order that changes every round; a first round only warms up.

    Args:
        model: A `model.RoiDepth`.
        cases: (photo, `Camera`, boxes (n, 4) in pixels) each.
        plans: By name, ways to plan, as `planners` says.
        rounds: How often.
        seed: Of the order.

    Returns:
        By name, seconds (rounds, cases, 2): of the whole frame, and of planning and decoding.
    """
    timers = {name: lambda *case, plan=plan: _time_one(model, *case, plan) for name, plan in plans.items()}
    return interleave(timers, cases, rounds, seed)


def interleave(timers, cases, rounds, seed=0):
    """Calls every timer on every case, in an order that changes every round; a first round only warms up.

    Args:
        timers: By name, functions of a case's parts that return what they measured: a number, or several.
        cases: Tuples.
        rounds: How often.
        seed: Of the order.

    Returns:
        By name, an array (rounds, cases, ...) of what the timer returned.
    """
    generator, names = np.random.default_rng(seed), list(timers)
    measured = {name: [[None] * len(cases) for _ in range(rounds + 1)] for name in names}
    for repeat in range(rounds + 1):
        for case in generator.permutation(len(cases)):
            for number in generator.permutation(len(names)):
                measured[names[number]][repeat][case] = timers[names[number]](*cases[case])
    return {name: np.array(each[1:]) for name, each in measured.items()}


def seconds_of(function, *arguments):
    """How long a call takes, by the clock."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def _time_one(model: RoiDepth, photo, camera, boxes, plan):
    """Seconds for the whole frame and for planning and decoding."""
    start = time.perf_counter()
    _, features = model.find(photo, camera)
    middle = time.perf_counter()
    if plan:
        model.decode(features, plan(boxes, features.shape[1:3]))
    end = time.perf_counter()
    return end - start, end - middle


def summarise_times(seconds):
    """Medians and paired ratios of what :func:`time_cases` gives. A ratio compares times of the same case in the same
    round, moments apart, so that a busy machine slows both alike.

    Returns:
        ``NAME_ms`` for every name; for every name but "detect" and "full" also ``NAME_head_ms``, ``NAME_over_full`` and
        ``NAME_over_detect`` with their 5 to 95 % range (``..._range``); ``full_head_ms`` and ``head_share``.
    """
    total, head = ({name: each[..., part] for name, each in seconds.items()} for part in (0, 1))
    ways = [name for name in total if name not in ("detect", "full")]
    figures = {f"{name}_ms": float(np.median(total[name])) * 1000 for name in total}
    figures |= {f"{name}_head_ms": float(np.median(head[name])) * 1000 for name in [*ways, "full"]}
    for name in ways:
        for other in ("full", "detect"):
            ratios = total[name] / total[other]
            figures[f"{name}_over_{other}"] = float(np.median(ratios))
            figures[f"{name}_over_{other}_range"] = _range(ratios)
    return figures | {"head_share": float(np.median(head["full"] / total["full"]))}


def _range(ratios):
    return [float(value) for value in np.quantile(ratios, [0.05, 0.95])]


def compare_runtimes(models, height=128, width=416, frames=8, rounds=10, seed=0):
    """Times the same frames in several runtimes, one photo at a time, interleaved in one run.

    Boxes are those of the labels, as in :func:`benchmark`. Every round times every frame in every runtime, detection
    alone and the whole frame with ROI depth, in an order that changes, right after a frame in the same runtime that is
    not timed. On a machine that does other things, too, only the ratios count: they compare times of the same frame in
    the same round.

    Args:
        models: By name, a `model.RoiDepth` or what `export.load` gives; the first is what the others are compared with.
        height, width, frames, rounds, seed: See :func:`benchmark`.

    Returns:
        A dictionary: ``height, width, frames, rounds, boxes`` (mean per frame), and ``runtimes``, by name: ``detect``
        and ``roi``, each ``{ms, ms_range, ratio, ratio_range}``: medians and 5 to 95 % ranges of the milliseconds and
        of the time over that of the first runtime; and ``head_work``, as a share of the full head's.

    Raises:
        ValueError: if the size is not a multiple of 32 or not that of an export.
    """
    check_times(height, width, frames, rounds)
    for name, each in models.items():
        size = getattr(each, "size", (height, width))
        if size != (height, width):
            raise ValueError(f"{name}: the export is for {size[0]}x{size[1]} pixels, not for {height}x{width}")
    scenes = [streets.draw_street([seed, index], height, width) for index in range(frames)]
    boxes = [_boxes(scene) for scene in scenes]
    timers = {name: partial(_time_runtime, each) for name, each in models.items()}
    measured = interleave(timers, list(zip(scenes, boxes, strict=True)), rounds, seed)
    runtimes, reference = {}, next(iter(measured.values()))
    for name, each in measured.items():
        rows = {"head_work": float(each[0, :, 2].mean())}
        for part, kind in enumerate(("detect", "roi")):
            times, first = each[..., part], reference[..., part]
            rows[kind] = {
                "ms": float(np.median(times)) * 1000,
                "ms_range": _range(times * 1000),
                "ratio": float(np.median(times / first)),
                "ratio_range": _range(times / first),
            }
        runtimes[name] = rows
    mean = float(np.mean([len(each) for each in boxes]))
    return {
        "height": height, "width": width, "frames": frames, "rounds": rounds, "boxes": mean, "runtimes": runtimes
    }  # fmt: skip


def _time_runtime(model, scene, boxes):
    """Seconds for detection and for the whole frame, and the share of the depth head's work.

    A frame that isn't timed comes first: the last runtime's threads may go on spinning for a moment.
    """
    _run_frame(model, scene, boxes)
    return _run_frame(model, scene, boxes)


def _run_frame(model, scene, boxes):
    start = time.perf_counter()
    _, features = model.find(scene.image, scene.camera)
    middle = time.perf_counter()
    plan = model.plan(boxes, features.shape[1:3], "auto")
    model.decode(features, plan)
    end = time.perf_counter()
    return middle - start, end - start, plan.share


def time_share(network, others, inputs, rounds=15):
    """Time of one network's call as a share of what several others take one after the other.

    Args:
        network: A Keras model.
        others: Keras models; what they do together is what `network` does alone.
        inputs: One batch, for all of them.
        rounds: How often; each time all are called in turn, so that a busy machine slows both alike.

    Returns:
        The median of the ratios; a first round, which only warms up, does not count.
    """
    ratios = []
    for _ in range(rounds + 1):
        seconds = [seconds_of(each.predict_on_batch, inputs) for each in (network, *others)]
        ratios.append(seconds[0] / sum(seconds[1:]))
    return float(np.median(ratios[1:]))


# Counted work --------------------------------------------------------------------------------------------------------

WAYS = ("unmerged_windows", "planned_windows", "bounding_window", "full_frame", "limit")
"""Ways to decode the depth of all boxes of a frame, as :func:`planned_work` compares them."""


def multiply_adds(network, *shapes):
    """Multiplications with additions of all convolutions of a Keras model, without its other layers.

    A convolution makes as many of them per cell that it puts out as its kernel has numbers: height * width * channels
    in * channels out, or height * width * channels where each channel is convolved alone.

    Args:
        network: A functional Keras model.
        shapes: The shape of each of its inputs, batch first.
    """
    kinds = keras.layers.Conv2D, keras.layers.DepthwiseConv2D
    convolutions = [layer for layer in network.layers if isinstance(layer, kinds)]
    outputs = keras.Model(network.inputs, [layer.output for layer in convolutions])
    sizes = outputs.compute_output_shape(list(shapes))
    return sum(
        size[0] * size[1] * size[2] * int(np.prod(layer.kernel.shape))
        for size, layer in zip(sizes, convolutions, strict=True)
    )


def detection_work(model, height, width):
    """Multiplications with additions of encoder and detection head, as they run at prediction.

    What `detection.split_head` takes apart sees the 3x3 cells around each of `detection.PEAKS` peaks only.

    Args:
        model: A `model.RoiDepth`.
        height, width: Of the photo, in pixels.
    """
    cells = (1, height // roi.STRIDE, width // roi.STRIDE, model.detection_head.input_shape[-1])
    encoder = multiply_adds(model.encoder, (1, height, width, 3), (1, 4))
    halves = detection.split_head(model.detection_head)
    if halves is None:
        return encoder + multiply_adds(model.detection_head, cells)
    where, what = halves
    return encoder + multiply_adds(where, cells) + multiply_adds(what, (detection.PEAKS, 3, 3, cells[-1]))


def label_boxes(labels_folder, photo_size, size):
    """The boxes of all label files of a folder, scaled like the photos.

    Args:
        labels_folder: Folder of ``ID.txt`` files in KITTI's label format.
        photo_size: (height, width) in pixels of the photos that the labels are of.
        size: (height, width) in pixels of the network's image: each photo is scaled evenly until it fits.

    Returns:
        One (n, 4) array per file: left, top, right, bottom in pixels of the network's image, of `CLASSES` only.

    Raises:
        FileNotFoundError: if there is no label file. ValueError: if one can't be read; names file and line.
    """
    paths = sorted(Path(labels_folder).glob("*.txt"))
    if not paths:
        raise FileNotFoundError(f"{labels_folder}: no label files (*.txt) here")
    scale = min(size[0] / photo_size[0], size[1] / photo_size[1])
    frames = ([each.box for each in kitti.read_labels(path) if each.name in CLASSES] for path in paths)
    return [(np.reshape(boxes, (-1, 4)) + 0.5) * scale - 0.5 for boxes in frames]


def random_boxes(extents, count, height, width, seed):
    """Boxes of known sizes, dropped anywhere in a photo, so that a frame can hold as many as one likes.

    Args:
        extents: (n, 2) widths and heights in pixels to choose from.
        count: How many boxes.
        height, width: Size of the photo in pixels: the middle of every box lies inside.
        seed: An int.

    Returns:
        (count, 4): left, top, right, bottom in pixels; they may reach outside.
    """
    generator = np.random.default_rng(seed)
    size = generator.choice(np.asarray(extents, dtype=np.float64), count)
    middle = generator.uniform(0, [width, height], (count, 2))
    return np.concatenate([middle - size / 2, middle + size / 2], axis=1)


def planned_work(frames, rows, columns, work):
    """The depth head's counted work on the boxes of many frames, beside other ways to decode them.

    Args:
        frames: One (n, 4) array of boxes per frame, in pixels of the network's image.
        rows, columns: Size of the features in cells.
        work: A `depth.HeadWork`, or any function of a window's rows and columns.

    Returns:
        A dictionary: ``frames``; ``frames_without_objects`` as a share of them; ``work``, for each of `WAYS` the
        ``mean, median, quantile_95, max`` of its share of full decoding, frames without objects included (0 work,
        but for the full frame); ``windows`` likewise for the number of windows that are decoded, planned and
        unmerged. ``limit`` is the union of the snapped boxes' cells as a share of all cells: what would remain if
        windows could have any shape and needed no surroundings.
    """
    counted = np.array([_count_frame(boxes, rows, columns, work) for boxes in frames])
    figures = [_spread(values) for values in counted.T]
    return {
        "frames": len(counted),
        "frames_without_objects": float(np.mean(counted[:, 5] == 0)),
        "work": dict(zip(WAYS, figures, strict=False)),
        "windows": {"unmerged_windows": figures[5], "planned_windows": figures[6]},
    }


def _count_frame(boxes, rows, columns, work):
    """Shares of full decoding for `WAYS`, then the number of boxes in the image and of planned windows."""
    plan = roi.plan_windows(boxes, rows, columns, work)
    regions = plan.regions[plan.window_of >= 0]
    if len(regions) == 0:
        return [0, 0, 0, 1, 0, 0, 0]
    covered = np.zeros((rows, columns), bool)
    for top, left, bottom, right in regions:
        covered[top:bottom, left:right] = True
    unmerged = work(regions[:, 2] - regions[:, 0], regions[:, 3] - regions[:, 1]).sum()
    height, width = regions[:, 2:].max(axis=0) - regions[:, :2].min(axis=0)
    return [
        unmerged / plan.full_work,
        plan.share,
        work(height, width) / plan.full_work,
        1,
        covered.mean(),
        len(regions),
        len(plan.windows),
    ]


def _spread(values):
    return {
        "mean": float(np.mean(values)),
        "median": float(np.median(values)),
        "quantile_95": float(np.quantile(values, 0.95)),
        "max": float(np.max(values)),
    }


def work_table(figures):
    """The figures of :func:`planned_work` as lines of text."""
    names = {
        "unmerged_windows": "a window around each box",
        "planned_windows": "merged windows, as planned",
        "bounding_window": "one window around all boxes",
        "full_frame": "the full frame",
        "limit": "limit: only the boxes' own cells",
    }
    columns = ("mean", "median", "quantile_95", "max")
    lines = [f"{'work of the depth head, by frame':<34}{'mean':>9}{'median':>9}{'95 %':>9}{'most':>9}"]
    for way in WAYS:
        lines.append(f"{names[way]:<34}" + "".join(f"{figures['work'][way][name]:>9.1%}" for name in columns))
    for way, row in figures["windows"].items():
        title = "number of boxes" if way == "unmerged_windows" else "number of planned windows"
        lines.append(f"{title:<34}" + "".join(f"{row[name]:>9.1f}" for name in columns))
    lines.append(f"{figures['frames']} frames, {figures['frames_without_objects']:.1%} of them without objects")
    return "\n".join(lines)
