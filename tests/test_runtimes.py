"""tests/runtimes.py and tests/window_buckets.py: what they count, and what their stored results say."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import runtimes
import window_buckets

from roidepth_lessons import DATA_FOLDER, export

RESULTS = DATA_FOLDER / "results"


def work(rows, columns):
    return (rows + 6) * (columns + 6)


def rows_of(errors, scores):
    """A frame for each list of relative distance errors; one labelled car, one detection of the given score on it."""
    kitti = {"names": ["Car"], "boxes": np.array([[10.0, 10, 90, 90]])}
    labels = kitti | {"occlusion": [0], "truncation": [0.0]}
    return [
        {
            "pairs": {"distance": 10 * (1 + np.array(each, float)), "true_distance": np.full(len(each), 10.0)},
            "kitti": (labels, kitti | {"scores": np.array([score]), "boxes": kitti["boxes"] + (0 if score else 500)}),
        }
        for each, score in zip(errors, scores, strict=True)
    ]


def test_a_change_that_is_the_same_everywhere_has_no_spread():
    before = rows_of([[0.1], [-0.2, 0.3], [], [0.4]], [0.9, 0.8, 0.7, 0.6])
    after = rows_of([[0.15], [-0.3, 0.45], [], [0.6]], [0.9, 0.8, 0.7, 0.6])
    found = runtimes.changes(before, after, [0, 1, 2, 3])
    assert found["distance_error_change_interval"] == pytest.approx((0.5, 0.5))
    assert found["ap50_moderate_change_interval"]["Car"] == (0, 0)
    assert found["ap50_moderate_change_interval"]["Cyclist"] is None  # nobody has labelled one


def test_a_change_on_one_frame_of_several_has_a_spread():
    before = rows_of([[0.1], [0.1], [0.1]], [0.9, 0.8, 0.7])
    after = rows_of([[0.1], [0.1], [0.4]], [0.9, 0.8, 0.0])
    found = runtimes.changes(before, after, [0, 1, 2])
    assert found["distance_error_change_interval"] == pytest.approx((0, 3))
    low, high = found["ap50_moderate_change_interval"]["Car"]
    assert low == -1
    assert high == 0


def test_sizes_are_chosen_for_what_is_wanted():
    wanted = np.array([[4, 8]] * 6 + [[20, 40]] * 3)
    assert window_buckets.choose_sizes(wanted, 32, 104, work, 2) == [(20, 40), (4, 8)]
    assert window_buckets.choose_sizes(np.array([[5, 9]]), 32, 104, work, 1) == [(6, 12)]  # the next candidate


def test_measured_sizes_by_hand():
    boxes = [np.array([[8.0, 8, 15, 11]]), np.zeros((0, 4))]  # snaps to 1x4 cells, of 32x104
    figures = window_buckets.measure_sizes(boxes, 32, 104, work, [(4, 4), (8, 8)])
    full = work(32, 104)
    assert figures["sizes"] == [[4, 4], [8, 8], [32, 104]]
    assert figures["exact"] == pytest.approx(work(1, 4) / full / 2)
    assert figures["planned"] == figures["enlarged"] == pytest.approx(work(4, 4) / full / 2)
    assert figures["planned_over_exact"] == pytest.approx(work(4, 4) / work(1, 4))
    assert figures["most"] == pytest.approx(work(4, 4) / full)
    assert figures["windows"] == 0.5


@pytest.mark.skipif(not (RESULTS / "window_buckets.json").exists(), reason="tests/window_buckets.py has not been run")
def test_stored_sizes_cost_what_they_say():
    """The default sizes on frames that they were not chosen on, and that planning with them is never dearer."""
    stored = json.loads((RESULTS / "window_buckets.json").read_text())
    for size in window_buckets.SIZES:
        kinds = stored["x".join(map(str, size))]
        assert kinds["label files"]["chosen_on_frames"] == kinds["label files"]["measured_on_frames"] == 1239
        for kind in kinds.values():
            for each in kind["ways"].values():
                assert 1 <= each["planned_over_exact"] <= each["enlarged_over_exact"]
                assert each["most"] <= 1


@pytest.mark.skipif("ROIDEPTH_KITTI" not in os.environ, reason="the real labels are not here")
def test_the_default_sizes_are_chosen_as_they_say():
    from roidepth_lessons import depth

    head_work = depth.HeadWork(depth.build_depth_head())
    chosen_on, _ = window_buckets.read_sources(Path(os.environ["ROIDEPTH_KITTI"]), (128, 416))["label files"]
    wanted = window_buckets.wanted_sizes(chosen_on, 32, 104, head_work)
    assert sorted(window_buckets.choose_sizes(wanted, 32, 104, head_work, 11)) == sorted(export.BUCKET_SHARES)


def test_table_of_times():
    each = {"ms": 12.34, "ratio": 0.5}
    lines = runtimes.times_table({"runtimes": {"onnx int8": {"detect": each, "roi": each, "head_work": 0.25}}})
    assert lines.splitlines()[1].split() == ["onnx", "int8", "12.3", "(0.50)", "12.3", "(0.50)", "25.0%"]
