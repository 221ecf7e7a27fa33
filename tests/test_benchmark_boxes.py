"""The clock by number of boxes: costs of windows, cases, and what the planner makes of them."""

import json

import numpy as np
import pytest
import tiny

from roidepth_lessons import benchmark_boxes, model, roi


@pytest.fixture(scope="module")
def program():
    return model.RoiDepth(tiny.small_network())


WINDOWS = [
    np.array(count * [[0, 0, side, 2 * side]]) for side, count in ((1, 1), (3, 1), (9, 1), (20, 1), (1, 4), (3, 4))
]


def test_costs_are_found_again_where_they_are_known():
    """2 ms a call, 0.5 ms a window and 5 million multiplications a ms."""
    counts = np.array([len(each) for each in WINDOWS])
    operations = np.array([1e5, 1e6, 5e6, 4e7, 4e5, 4e6])
    costs = benchmark_boxes.fit_costs(WINDOWS, operations, 2 + 0.5 * counts + operations / 5e6)
    assert costs["call_ms"] == pytest.approx(2)
    assert costs["overhead_ms"] == pytest.approx(0.5)
    assert costs["operations_per_ms"] == pytest.approx(5e6)
    assert costs["overhead_operations"] == pytest.approx(2.5e6)
    assert [(row["rows"], row["columns"], row["count"]) for row in costs["windows"]][-2:] == [(1, 2, 4), (3, 6, 4)]
    for row in costs["windows"]:
        assert row["fitted_ms"] == pytest.approx(row["ms"])


def test_nothing_costs_less_than_nothing():
    operations = np.array([1e5, 1e6, 5e6, 4e7, 4e5, 4e6])
    costs = benchmark_boxes.fit_costs(WINDOWS, operations, operations**1.2 / 1e6)
    assert (costs["call_ms"], costs["overhead_ms"], costs["overhead_operations"]) == (0, 0, 0)
    assert costs["operations_per_ms"] > 0


def test_a_planner_that_knows_the_cost_of_a_call_makes_fewer_of_them():
    """Four boxes far apart: alone they are cheapest, until a call costs more than the surroundings that it saves."""
    boxes = [[8, 8, 15, 15], [60, 8, 67, 15], [8, 40, 15, 47], [60, 40, 67, 47]]

    def area(rows, columns):
        return rows * columns

    counts = []
    for overhead in (0, 10, 10_000):
        plan = roi.plan_windows(boxes, 16, 24, area, overhead=overhead)
        counts.append(len(plan.windows))
        assert plan.work == area(plan.windows[:, 2] - plan.windows[:, 0], plan.windows[:, 3] - plan.windows[:, 1]).sum()
        assert plan.work <= plan.full_work
    assert counts[0] == 4
    assert counts[-1] == 1


def test_all_cases_are_timed_and_written(program, monkeypatch, capsys):
    monkeypatch.setattr(benchmark_boxes.calibrate, "__defaults__", (1, 0))
    pool = [np.array([[10.0, 10, 30, 30], [60, 20, 70, 40]]), np.zeros((0, 4))]
    figures = benchmark_boxes.benchmark_boxes(program, 64, 128, pool, counts=(0, 1, 5), photos=1, rounds=1)
    assert figures == json.loads(json.dumps(figures))
    assert list(figures["cases"]) == ["0", "1", "5", "real"]
    for count in (0, 1, 5):
        row = figures["cases"][str(count)]
        assert row["boxes"] == count
        assert row["planned_windows"] <= row["windows"] <= count
        assert row["detect_ms"] > 0
    assert (figures["cases"]["0"]["windows"], figures["cases"]["0"]["head_work"]) == (0, 0)
    assert figures["cases"]["real"]["boxes"] in (0, 2)
    assert figures["boxes_from"] == "labels"
    peaks = [each for each in figures["memory_mb"].values() if each is not None]
    assert peaks == sorted(peaks)
    assert min(figures["work_rate"].values()) > 0
    text = benchmark_boxes.table(figures)
    assert [line.split()[0] for line in text.splitlines()[2:6]] == ["0", "1", "5", "real"]


HEAD_ENDS = ("heatmap", "box", "object")


def test_boxes_come_from_streets_if_nothing_is_given():
    boxes = benchmark_boxes.street_boxes(96, 312)
    assert len(boxes) == 100
    every = np.concatenate(boxes)
    assert len(every) > 100
    assert (every[:, 0] >= -1).all()
    assert (every[:, 2] <= 312).all()
    assert every[:, 2].max() > 250


def test_the_work_is_counted_and_compared_round_by_round(program, monkeypatch):
    """A clock that says 1 s for each: the rates are then the operations, counted here from the kernels' shapes."""
    monkeypatch.setattr(benchmark_boxes, "seconds_of", lambda *call: 1.0)
    rate = benchmark_boxes.work_rate(program, 64, 128, size=30, rounds=2)
    assert rate["matrix_product"] == pytest.approx(30**3 / 1e9)
    heads = [layer for layer in program.detection_head.layers if "conv" in layer.name or layer.name in HEAD_ENDS]
    head = sum(np.prod(layer.kernel.shape) for layer in heads) * 16 * 32
    assert head < rate["detection"] * 1e9 < head * 30
    assert rate["full_head"] == pytest.approx(program.head_work(16, 32) / 1e9)
    assert rate["full_head_share"] == pytest.approx(rate["full_head"] / rate["matrix_product"])
    assert rate["detection_share"] == pytest.approx(rate["detection"] / rate["matrix_product"])


def test_wrong_input(program):
    with pytest.raises(ValueError, match="multiples of 32, got 60x128"):
        benchmark_boxes.benchmark_boxes(program, 60, 128)
    with pytest.raises(ValueError, match="pool: there is no box"):
        benchmark_boxes.benchmark_boxes(program, 64, 128, [np.zeros((0, 4))])
