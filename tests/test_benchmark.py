"""What ROI decoding saves: times by a clock that is known, work by a slow count."""

import os
import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

from roidepth_lessons import benchmark, depth, model


def with_halo(rows, columns):
    return (rows + 6) * (columns + 6)


# On the clock --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_model(tiny_weights):
    return model.RoiDepth.load(tiny_weights)


def test_times_by_a_clock_that_is_known(tiny_model, monkeypatch):
    """Detection takes 10 s, planning and decoding 2 s for windows and 8 s for the full frame; the first round, which
    only warms up, takes ten times as long.
    """
    clock, rounds = [0.0], []

    find = tiny_model.find

    def slow_find(photo, camera):
        clock[0] += 10 * slowness()
        return find(photo, camera)

    def slowness():
        return 10 if len(rounds) <= 2 * 3 else 1  # two streets, three kinds

    def decode(features, plan):
        clock[0] += (8 if plan.kind == "full frame" else 2) * slowness()

    def time_one(*arguments):
        plan = arguments[-1]
        rounds.append(plan.keywords["mode"] if plan else "detect")
        return measured(*arguments)

    measured = benchmark._time_one
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(benchmark, "_time_one", time_one)
    monkeypatch.setattr(tiny_model, "find", slow_find)
    monkeypatch.setattr(tiny_model, "decode", decode)
    figures = benchmark.benchmark(tiny_model, 64, 128, frames=2, rounds=1)
    assert {kind: rounds.count(kind) for kind in benchmark.KINDS} == dict.fromkeys(benchmark.KINDS, 2 * 2)
    assert figures["detect_ms"] == pytest.approx(10_000)
    assert (figures["roi_ms"], figures["full_ms"]) == (pytest.approx(12_000), pytest.approx(18_000))
    assert (figures["roi_head_ms"], figures["full_head_ms"]) == (pytest.approx(2_000), pytest.approx(8_000))
    assert figures["roi_over_full"] == pytest.approx(12 / 18)
    assert figures["roi_over_full_range"] == pytest.approx([12 / 18, 12 / 18])
    assert figures["roi_over_detect"] == pytest.approx(1.2)
    assert figures["head_share"] == pytest.approx(8 / 18)
    assert (figures["height"], figures["width"], figures["frames"], figures["rounds"]) == (64, 128, 2, 1)


def test_ratios_are_of_the_same_frame_in_the_same_round():
    """A machine that gets twice as slow in every round changes all times, and no ratio."""
    frame = np.array([[4.0, 0.5], [6.0, 2.0], [8.0, 4.0]])  # detect, roi, full: seconds of the frame, of the head
    seconds = frame * (2.0 ** np.arange(5))[:, None, None, None] * np.array([1.0, 3.0])[:, None, None]
    assert seconds.shape == (5, 2, 3, 2)
    figures = benchmark.summarise_times(dict(zip(benchmark.KINDS, np.moveaxis(seconds, 2, 0), strict=True)))
    assert figures["roi_over_full"] == pytest.approx(6 / 8)
    assert figures["roi_over_full_range"] == pytest.approx([6 / 8] * 2)
    assert figures["roi_over_detect_range"] == pytest.approx([1.5] * 2)
    assert figures["head_share"] == pytest.approx(0.5)
    assert figures["detect_ms"] == pytest.approx(1000 * np.median(seconds[:, :, 0, 0]))
    assert figures["roi_head_ms"] == pytest.approx(1000 * np.median(seconds[:, :, 1, 1]))


def test_sizes_that_do_not_suit(tiny_model):
    with pytest.raises(ValueError, match="multiples of 32, got 100x128"):
        benchmark.benchmark(tiny_model, 100, 128)
    for frames, rounds in [(0, 1), (1, 0)]:
        with pytest.raises(ValueError, match="at least 1"):
            benchmark.benchmark(tiny_model, 64, 128, frames, rounds)


# Counted work --------------------------------------------------------------------------------------------------------


def test_planned_work_by_hand():
    """8x12 cells. Boxes of 2x3 and 1x1 cells far apart, and a frame without any."""
    far = [[1.0, 1.0, 10.0, 6.0], [45.0, 29.0, 46.0, 30.0]]  # widened by a tenth: rows 0-2, columns 0-3; the corner
    figures = benchmark.planned_work([np.array(far), np.zeros((0, 4))], 8, 12, lambda rows, columns: rows * columns)
    assert (figures["frames"], figures["frames_without_objects"]) == (2, 0.5)
    wanted = {"unmerged_windows": 7 / 96, "planned_windows": 7 / 96, "bounding_window": 1, "limit": 7 / 96}
    for way, share in wanted.items():
        assert figures["work"][way]["max"] == pytest.approx(share)
        assert figures["work"][way]["mean"] == pytest.approx(share / 2)
        assert figures["work"][way]["median"] == pytest.approx(share / 2)
        assert figures["work"][way]["quantile_95"] == pytest.approx(0.95 * share)
    assert set(figures["work"]["full_frame"].values()) == {1}
    assert figures["windows"]["unmerged_windows"]["max"] == figures["windows"]["planned_windows"]["max"] == 2


def test_planned_work_against_a_slow_count():
    generator = np.random.default_rng(1)
    frames, slow = [], []
    for _ in range(40):
        corner = generator.uniform([-30, -30], [400, 120], (generator.integers(1, 7), 2))
        boxes = np.concatenate([corner, corner + generator.uniform(4, 70, corner.shape)], axis=1)
        frames.append(boxes)
        cells, alone, rectangles = set(), 0, []
        for left, top, right, bottom in boxes:
            across, down = (right - left) / 10, (bottom - top) / 10
            rows = [r for r in range(32) if 4 * r - 0.5 < bottom + down and 4 * r + 3.5 > top - down]
            columns = [c for c in range(104) if 4 * c - 0.5 < right + across and 4 * c + 3.5 > left - across]
            if rows and columns:
                cells |= {(r, c) for r in rows for c in columns}
                alone += with_halo(len(rows), len(columns))
                rectangles.append((rows, columns))
        rows, columns = ({index for each in rectangles for index in each[axis]} for axis in (0, 1))
        around = with_halo(max(rows) - min(rows) + 1, max(columns) - min(columns) + 1) if rectangles else 0
        slow.append([alone / with_halo(32, 104), around / with_halo(32, 104), len(cells) / (32 * 104), len(rectangles)])
    figures = benchmark.planned_work(frames, 32, 104, with_halo)
    for way, values in zip(("unmerged_windows", "bounding_window", "limit"), np.array(slow).T, strict=False):
        assert figures["work"][way]["mean"] == pytest.approx(np.mean(values)), way
        assert figures["work"][way]["max"] == pytest.approx(np.max(values)), way
    assert figures["windows"]["unmerged_windows"]["mean"] == pytest.approx(np.mean(slow, axis=0)[3])
    work = figures["work"]
    assert work["limit"]["mean"] < work["planned_windows"]["mean"] < work["unmerged_windows"]["mean"]
    assert work["planned_windows"]["max"] <= 1
    assert figures["windows"]["planned_windows"]["mean"] < figures["windows"]["unmerged_windows"]["mean"]


def test_random_boxes_have_the_sizes_given_and_their_middles_fill_the_photo():
    extents = [(10.0, 4.0), (6.0, 20.0)]
    boxes = benchmark.random_boxes(extents, 400, 32, 64, seed=3)
    assert {tuple(size) for size in (boxes[:, 2:] - boxes[:, :2]).round(6).tolist()} == set(extents)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert (middle >= 0).all()
    assert (middle <= [64, 32]).all()
    np.testing.assert_allclose(middle.mean(axis=0), [32, 16], rtol=0.1)
    np.testing.assert_array_equal(boxes, benchmark.random_boxes(extents, 400, 32, 64, seed=3))
    assert (boxes != benchmark.random_boxes(extents, 400, 32, 64, seed=4)).any()


def test_label_boxes_are_scaled_like_the_photos(tmp_path):
    row = "{} 0 0 0 {} 1.5 1.6 4.0 0 1.65 20 0\n"
    (tmp_path / "000001.txt").write_text("")
    (tmp_path / "000000.txt").write_text(
        row.format("Car", "10 20 49 59") + row.format("Van", "0 0 9 9") + row.format("Cyclist", "50 10 59 29")
    )
    boxes, none = benchmark.label_boxes(tmp_path, photo_size=(64, 100), size=(32, 64))
    np.testing.assert_allclose(boxes, [[4.75, 9.75, 24.25, 29.25], [24.75, 4.75, 29.25, 14.25]])
    assert none.shape == (0, 4)
    np.testing.assert_array_equal(benchmark.label_boxes(tmp_path, (64, 100), (96, 50))[0], boxes)
    with pytest.raises(FileNotFoundError, match="no label files"):
        benchmark.label_boxes(tmp_path / "training", (64, 100), (32, 64))


def test_table_of_the_work():
    figures = benchmark.planned_work([np.array([[1.0, 1.0, 10.0, 6.0]])], 8, 12, lambda rows, columns: rows * columns)
    lines = benchmark.work_table(figures).splitlines()
    assert [line.split()[-4:] for line in lines[1:6]] == [["6.2%"] * 4] * 3 + [["100.0%"] * 4, ["6.2%"] * 4]
    assert lines[-1] == "1 frames, 0.0% of them without objects"


@pytest.mark.skipif("ROIDEPTH_KITTI" not in os.environ, reason="the real labels are not here")
def test_work_on_the_boxes_of_the_real_label_files(tmp_path):
    archive = Path(os.environ["ROIDEPTH_KITTI"]) / "labels_only.tar.gz"
    if not archive.exists():
        pytest.skip("labels_only.tar.gz is not here")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    frames = benchmark.label_boxes(tmp_path / "labels_only" / "label_2", (375, 1242), (384, 1248))
    assert len(frames) == 7432
    assert sum(map(len, frames)) == 34658  # counted by grep
    frames = frames[::8]  # all of them take a quarter of a minute: data/results/planned_work_384x1248.json
    figures = benchmark.planned_work(frames, 384 // 4, 1248 // 4, depth.HeadWork(depth.build_depth_head()))
    work = figures["work"]
    assert work["planned_windows"]["mean"] <= 0.16
    assert work["planned_windows"]["max"] <= 1
    assert work["limit"]["mean"] < work["planned_windows"]["mean"] < work["unmerged_windows"]["mean"]
    assert work["planned_windows"]["mean"] < work["bounding_window"]["mean"]
    assert figures["frames_without_objects"] == 0  # these label files hold at least one object each
    assert figures["windows"]["unmerged_windows"]["mean"] == pytest.approx(np.mean([len(each) for each in frames]))


def test_multiply_adds_by_hand():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(image)
    network = keras.Model(image, keras.layers.Conv2D(2, 1)(keras.layers.Activation("relu")(x)))
    assert benchmark.multiply_adds(network, (1, 16, 20, 3)) == 8 * 10 * (3 * 3 * 3 * 8 + 8 * 2)


def test_multiply_adds_of_channels_that_are_convolved_alone():
    image = keras.Input((None, None, 6))
    network = keras.Model(image, keras.layers.DepthwiseConv2D(5, strides=2, padding="same")(image))
    assert benchmark.multiply_adds(network, (1, 16, 20, 6)) == 8 * 10 * 5 * 5 * 6


def test_work_of_detection_is_counted_at_peaks():
    program = model.RoiDepth(tiny.toy_network())
    encoder = 16 * 24 * 4 * 4 * 3 * 16
    where = 16 * 24 * (3 * 3 * 16 * 8 + 8 * 3)
    what = 50 * 3 * 3 * (3 * 3 * 16 * 8 + 8 * (4 + 8))
    assert benchmark.detection_work(program, 64, 96) == encoder + where + what


def test_multiply_adds_counts_the_depth_head_as_head_work_does():
    head = depth.build_depth_head(16, (8, 8))
    rows, columns = 5, 7
    shape = (1, rows + 2 * depth.HALO, columns + 2 * depth.HALO, 16)
    assert benchmark.multiply_adds(head, shape) == depth.HeadWork(head)(rows, columns)


def test_time_share_is_one_over_the_others_together(monkeypatch):
    class Slow:
        def __init__(self, seconds):
            self.seconds = iter(seconds)

        def predict_on_batch(self, inputs):
            now[0] += next(self.seconds)

    now = [0.0]
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: now[0])
    one, *others = Slow([9, 3, 3, 3]), Slow([1, 2, 2, 20]), Slow([1, 4, 4, 4])  # the first round warms up
    assert benchmark.time_share(one, others, None, rounds=3) == 0.5
