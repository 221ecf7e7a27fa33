"""On the clock: detection alone, ROI decoding and full decoding, interleaved in one run. Ratios, not records."""

import time

import numpy as np

from . import CLASSES, streets
from .model import RoiDepth

KINDS = ("detect", "roi", "full")


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
    if height % 32 or width % 32:
        raise ValueError(f"height and width must be multiples of 32, got {height}x{width}")
    if frames < 1 or rounds < 1:
        raise ValueError(f"frames and rounds must be at least 1, got {frames} and {rounds}")
    scenes = [streets.draw_street([seed, index], height, width) for index in range(frames)]
    cases = [_prepare(model, scene) for scene in scenes]
    generator = np.random.default_rng(seed)
    seconds = np.zeros((rounds + 1, frames, len(KINDS), 2))
    for repeat in range(rounds + 1):
        for case in generator.permutation(frames):
            for kind in generator.permutation(len(KINDS)):
                seconds[repeat, case, kind] = _time_one(model, *cases[case][:2], KINDS[kind])
    return {"height": height, "width": width, "frames": frames, "rounds": rounds, **_summary(seconds[1:], cases)}


def _prepare(model, scene):
    """Inputs of the detector, labelled boxes, and the counted work of their windows as a share of the full head's."""
    boxes = np.array([each.box for each in scene.select(*CLASSES)]).reshape(-1, 4)
    inputs = {"image": scene.image[None].astype("float32"), "camera": scene.camera.vector[None]}
    features = model.detector.predict_on_batch(inputs)["features"]
    return inputs, boxes, model.plan(boxes, features.shape[1:3], "roi").share


def _time_one(model: RoiDepth, inputs, boxes, kind):
    """Seconds for the whole frame and for planning and decoding."""
    start = time.perf_counter()
    features = np.asarray(model.detector.predict_on_batch(inputs)["features"])
    middle = time.perf_counter()
    if kind != "detect":
        model.decode(features, model.plan(boxes, features.shape[1:3], kind))
    end = time.perf_counter()
    return end - start, end - middle


def _summary(seconds, cases):
    """From (rounds, frames, kinds, 2) seconds of the frame and of the head. A ratio compares times of the same frame
    in the same round, moments apart, so that a busy machine slows both alike.
    """
    total, head = (dict(zip(KINDS, np.moveaxis(seconds[..., part], 2, 0), strict=True)) for part in (0, 1))
    return {
        "boxes": float(np.mean([len(boxes) for _, boxes, _ in cases])),
        **{f"{kind}_ms": float(np.median(total[kind])) * 1000 for kind in KINDS},
        "roi_head_ms": float(np.median(head["roi"])) * 1000,
        "full_head_ms": float(np.median(head["full"])) * 1000,
        "roi_over_full": float(np.median(total["roi"] / total["full"])),
        "roi_over_full_range": _range(total["roi"] / total["full"]),
        "roi_over_detect": float(np.median(total["roi"] / total["detect"])),
        "roi_over_detect_range": _range(total["roi"] / total["detect"]),
        "head_share": float(np.median(head["full"] / total["full"])),
        "head_work": float(np.mean([share for *_, share in cases])),
    }


def _range(ratios):
    return [float(value) for value in np.quantile(ratios, [0.05, 0.95])]
