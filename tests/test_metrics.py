"""Metrics against hand-worked cases, plain loops, Keras, and a second implementation of average precision."""

import math

import numpy as np
import pytest

from roidepth_lessons import metrics

CAR_AND_PERSON = ["Car", "Pedestrian"]


def random_boxes(generator, count):
    corner = generator.uniform(0, 80, (count, 2))
    return np.concatenate([corner, corner + generator.uniform(2, 40, (count, 2))], axis=1)


def iou_of_two(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def one_image(boxes, labels=None, **fields):
    return {"boxes": boxes, "labels": [0] * len(boxes) if labels is None else labels, **fields}


def ap_by_loops(truths, detections, label, threshold, tolerance=None):
    """Average precision at 101 recalls, without ignored regions, written from its definition."""
    rows = []
    for truth, found in zip(truths, detections, strict=True):
        true_indices = [i for i, each in enumerate(truth["labels"]) if each == label]
        found_indices = [i for i, each in enumerate(found["labels"]) if each == label]
        free = set(true_indices)
        for i in sorted(found_indices, key=lambda i: -found["scores"][i]):
            overlaps = {}
            for j in free:
                overlap = iou_of_two(found["boxes"][i], truth["boxes"][j])
                if tolerance is not None:
                    error = abs(found["distances"][i] - truth["distances"][j]) / truth["distances"][j]
                    overlap = overlap if error <= tolerance else 0.0
                overlaps[j] = overlap
            best = max(overlaps, key=overlaps.get, default=None)
            hit = best is not None and overlaps[best] >= threshold
            if hit:
                free.remove(best)
            rows.append((found["scores"][i], hit))
    total = sum(list(truth["labels"]).count(label) for truth in truths)
    curve, hits = [], 0
    for number, (_, hit) in enumerate(sorted(rows, key=lambda row: -row[0]), start=1):
        hits += hit
        curve.append((hits / total, hits / number))
    return np.mean([max((p for r, p in curve if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)])


def random_scenes(seed, images=12):
    generator = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(images):
        count = int(generator.integers(0, 6))
        boxes, labels = random_boxes(generator, count), generator.integers(0, 2, count)
        distances = generator.uniform(5, 60, count)
        moved = np.clip(boxes + generator.normal(0, 2, boxes.shape), 0, None)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        strays = int(generator.integers(0, 4))
        found = np.concatenate([moved, random_boxes(generator, strays)])
        truths.append({"boxes": boxes, "labels": labels, "distances": distances})
        detections.append(
            {
                "boxes": found,
                "labels": np.concatenate([labels, generator.integers(0, 2, strays)]),
                "scores": generator.permutation(1000)[: len(found)] / 1000,
                "distances": np.concatenate(
                    [distances * generator.uniform(0.8, 1.2, count), generator.uniform(5, 60, strays)]
                ),
            }
        )
    return truths, detections


def test_iou_agrees_with_keras_and_with_a_loop():
    bounding_boxes = pytest.importorskip("keras").utils.bounding_boxes
    generator = np.random.default_rng(0)
    a, b = random_boxes(generator, 7), random_boxes(generator, 5)
    keras_iou = np.asarray(bounding_boxes.compute_iou(a.astype("float32"), b.astype("float32"), "xyxy"))
    np.testing.assert_allclose(metrics.box_iou(a, b), keras_iou, atol=1e-5)
    np.testing.assert_allclose(metrics.box_iou(a, b), [[iou_of_two(one, two) for two in b] for one in a], atol=1e-12)


def test_iou_of_nothing_and_of_flat_boxes():
    assert metrics.box_iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert metrics.box_iou([[3, 3, 3, 3]], [[3, 3, 3, 3]]).tolist() == [[0.0]]
    with pytest.raises(ValueError, match="other_boxes: box 1 ends before"):
        metrics.box_iou([[0, 0, 1, 1]], [[0, 0, 1, 1], [5, 0, 4, 1]])


def test_matching_by_hand():
    true_boxes = [[0, 0, 10, 10], [20, 0, 30, 10], [100, 0, 110, 10]]
    boxes = [[0, 0, 10, 9], [0, 0, 10, 10], [21, 0, 31, 10], [60, 0, 70, 10]]
    # The second detection is the surest and takes the first car; the first one, a duplicate, goes without.
    pairs = metrics.match_boxes(boxes, [0.8, 0.9, 0.5, 0.7], true_boxes)
    assert pairs.tolist() == [[1, 0], [2, 1]]
    assert metrics.match_boxes(boxes, [0.9, 0.8, 0.5, 0.7], true_boxes, threshold=0.85).tolist() == [[0, 0]]
    assert metrics.match_boxes([], [], true_boxes).shape == (0, 2)
    assert metrics.match_boxes(boxes, [0.8, 0.9, 0.5, 0.7], []).shape == (0, 2)


def test_a_detection_takes_the_box_it_overlaps_most():
    true_boxes = [[0, 0, 10, 10], [0, 0, 10, 8]]
    assert metrics.match_boxes([[0, 0, 10, 8]], [1.0], true_boxes).tolist() == [[0, 1]]
    assert metrics.match_boxes([[0, 0, 10, 8]] * 2, [0.5, 0.6], true_boxes).tolist() == [[1, 1], [0, 0]]


def test_average_precision_by_hand():
    # Five detections, four cars: hit, miss, hit, hit, miss. Precision at recall 1/4, 2/4, 3/4: 1, 2/3, 3/4, and made
    # to fall only: 1, 3/4, 3/4. Of 101 recalls, 0 to 0.25 are 26 points, up to 0.75 another 50, and 25 are never met.
    cars = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]
    found = [cars[0], [80, 0, 90, 10], cars[1], cars[2], [0, 50, 10, 60]]
    result = metrics.average_precision([one_image(cars)], [one_image(found, scores=[0.9, 0.8, 0.7, 0.6, 0.5])], ["Car"])
    assert result["Car"]["ap50"] == pytest.approx((26 * 1 + 50 * 3 / 4) / 101)
    assert result["Car"]["ap"] == pytest.approx(result["Car"]["ap50"])
    assert result["Car"]["count"] == 4


def test_ap_is_the_mean_over_ten_thresholds():
    # IoU 0.72 passes 0.5, 0.55, 0.6, 0.65 and 0.7.
    result = metrics.average_precision(
        [one_image([[0, 0, 10, 10]])], [one_image([[0, 0, 10, 7.2]], scores=[0.3])], ["Car"]
    )
    assert result["Car"]["ap50"] == pytest.approx(1)
    assert result["Car"]["ap"] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_average_precision_agrees_with_loops(seed):
    truths, detections = random_scenes(seed)
    result = metrics.average_precision(truths, detections, CAR_AND_PERSON)
    for label, name in enumerate(CAR_AND_PERSON):
        assert 0.05 < result[name]["ap50"] < 1
        assert result[name]["ap50"] == pytest.approx(ap_by_loops(truths, detections, label, 0.5))
        thresholds = 0.5 + 0.05 * np.arange(10)
        expected = np.mean([ap_by_loops(truths, detections, label, each) for each in thresholds])
        assert result[name]["ap"] == pytest.approx(expected)


@pytest.mark.parametrize("tolerance", [0.05, 0.1, 0.15])
def test_precision_with_distance_agrees_with_loops(tolerance):
    truths, detections = random_scenes(3, images=20)
    result = metrics.average_precision_with_distance(truths, detections, CAR_AND_PERSON, tolerance)
    without = metrics.average_precision(truths, detections, CAR_AND_PERSON)
    for label, name in enumerate(CAR_AND_PERSON):
        assert 0 < result[name]["ap50"] < without[name]["ap50"]
        assert result[name]["ap50"] == pytest.approx(ap_by_loops(truths, detections, label, 0.5, tolerance))


def test_precision_with_distance_counts_the_tolerance_itself_as_right():
    truths = [one_image([[0, 0, 10, 10]], distances=[20.0])]

    def with_distance(metres):
        found = [one_image([[0, 0, 10, 10]], scores=[0.5], distances=[metres])]
        return metrics.average_precision_with_distance(truths, found, ["Car"], 0.1)["Car"]["ap50"]

    assert with_distance(22.0) == pytest.approx(1)
    assert with_distance(18.0) == pytest.approx(1)
    assert with_distance(22.1) == 0
    assert with_distance(math.nan) == 0


def test_ignored_regions_are_neither_hit_nor_miss():
    car, region = [0, 0, 10, 10], [50, 0, 90, 40]
    truths = [one_image([car, car, region], labels=[0, 1, -1], ignored=[False, False, True])]
    in_region = [[60, 10, 70, 20], [62, 10, 72, 20]]
    found = [one_image([*in_region, car] * 2, labels=[0, 0, 0, 1, 1, 1], scores=[0.9, 0.8, 0.7] * 2)]
    result = metrics.average_precision(truths, found, CAR_AND_PERSON)
    for name in CAR_AND_PERSON:
        assert result[name] == {"ap50": pytest.approx(1), "ap": pytest.approx(1), "count": 1}
    # The same two detections outside the region are misses: one hit at rank three.
    outside = [one_image([[0, 60, 10, 70], [20, 60, 30, 70], car], scores=[0.9, 0.8, 0.7])]
    assert metrics.average_precision(truths, outside, CAR_AND_PERSON)["Car"]["ap50"] == pytest.approx(1 / 3)


def test_an_ignored_neighbour_concerns_its_class_only():
    van = [50, 0, 90, 40]
    truths = [one_image([[0, 0, 10, 10], [0, 50, 10, 60], van], labels=[0, 1, 0], ignored=[False, False, True])]
    boxes = [van, [0, 0, 10, 10], van, [0, 50, 10, 60]]
    found = [one_image(boxes, labels=[0, 0, 1, 1], scores=[0.9, 0.8, 0.9, 0.8])]
    result = metrics.average_precision(truths, found, CAR_AND_PERSON)
    assert result["Car"]["ap50"] == pytest.approx(1)
    assert result["Pedestrian"]["ap50"] == pytest.approx(1 / 2)


def test_ignored_regions_swallow_detections_whatever_their_distance():
    truths = [one_image([[0, 0, 9, 9], [50, 0, 90, 40]], [0, -1], ignored=[False, True], distances=[20.0, -1000.0])]
    found = [one_image([[60, 10, 70, 20], [0, 0, 9, 9]], scores=[0.9, 0.8], distances=[5.0, 20.0])]
    result = metrics.average_precision_with_distance(truths, found, ["Car"], 0.1)
    assert result["Car"]["ap50"] == pytest.approx(1)


@pytest.mark.parametrize("box", [[0, 0, 1.5, 1.5], [0, 0, 40, 40], [0, 0, 4000, 3000]])
def test_boxes_of_every_size_count(box):
    result = metrics.average_precision([one_image([box])], [one_image([box], scores=[0.5])], ["Car"])
    assert result["Car"] == {"ap50": pytest.approx(1), "ap": pytest.approx(1), "count": 1}


def test_empty_images_and_no_detections(capsys):
    empty = {"boxes": [], "labels": [], "scores": []}
    truths = [one_image([[0, 0, 10, 10]]), one_image([])]
    assert metrics.average_precision(truths, [empty, empty], ["Car"])["Car"] == {"ap50": 0.0, "ap": 0.0, "count": 1}
    nothing = {"ap50": None, "ap": None, "count": 0}
    assert metrics.average_precision([one_image([])], [empty], ["Car"])["Car"] == nothing
    assert metrics.average_precision([], [], ["Car"])["Car"] == nothing
    stray = one_image([[0, 0, 10, 10]], scores=[0.9])
    assert metrics.average_precision([one_image([])], [stray], ["Car"])["Car"] == nothing
    assert metrics.average_precision(truths, [stray, stray], ["Car"])["Car"]["ap50"] == pytest.approx(1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        ({"labels": [2]}, {}, r"truths\[0\]\['labels'\] must lie in -1 to 0"),
        ({"labels": [-1]}, {}, r"truths\[0\].*must be ignored"),
        ({"ignored": [True, False]}, {}, r"truths\[0\]\['ignored'\] has shape"),
        ({"boxes": [[0, 0, 10]]}, {}, r"truths\[0\]\['boxes'\] must be finite and \(n, 4\)"),
        ({}, {"labels": [-1]}, r"detections\[0\]\['labels'\] must lie in 0 to 0"),
        ({}, {"labels": [0.5]}, r"detections\[0\]\['labels'\] must be 1 whole numbers"),
        ({}, {"scores": [math.nan]}, r"detections\[0\]\['scores'\] must be 1 finite"),
        ({}, {"boxes": [[0, 0, math.inf, 1]]}, r"detections\[0\]\['boxes'\] must be finite"),
    ],
)
def test_bad_detections_are_named(truth, found, message):
    truths = [one_image([[0, 0, 10, 10]]) | truth]
    detections = [one_image([[0, 0, 10, 10]], scores=[0.9]) | found]
    with pytest.raises(ValueError, match=message):
        metrics.average_precision(truths, detections, ["Car"])


def test_lists_of_different_length_and_missing_distances_are_named():
    truth, found = one_image([[0, 0, 10, 10]]), one_image([[0, 0, 10, 10]], scores=[0.9])
    with pytest.raises(ValueError, match="truths are for 2 images, detections for 1"):
        metrics.average_precision([truth, truth], [found], ["Car"])
    with pytest.raises(ValueError, match=r"truths\[0\] has no 'distances'"):
        metrics.average_precision_with_distance([truth], [found], ["Car"], 0.1)
    with pytest.raises(ValueError, match=r"truths\[0\]\['distances'\] must be finite and positive"):
        metrics.average_precision_with_distance(
            [truth | {"distances": [0.0]}], [found | {"distances": [1.0]}], ["Car"], 0.1
        )


def test_depth_errors_agree_with_a_loop():
    generator = np.random.default_rng(4)
    true = generator.uniform(2, 80, (6, 9))
    true[0, :4], true[1, :3] = 0, np.nan
    predicted = np.where(true > 0, true, 1) * generator.uniform(0.5, 1.6, true.shape)
    predicted[0, 0] = np.nan
    mask = generator.random(true.shape) < 0.7
    pairs = [(p, t) for p, t, m in zip(predicted.flat, true.flat, mask.flat, strict=True) if m and t > 0]
    logs = [math.log(p / t) for p, t in pairs]
    n = len(pairs)
    expected = {
        "abs_rel": sum(abs(p - t) / t for p, t in pairs) / n,
        "sq_rel": sum((p - t) ** 2 / t for p, t in pairs) / n,
        "rmse": math.sqrt(sum((p - t) ** 2 for p, t in pairs) / n),
        "rmse_log": math.sqrt(sum(e * e for e in logs) / n),
        "silog": 100 * math.sqrt(sum(e * e for e in logs) / n - (sum(logs) / n) ** 2),
        "delta1": sum(max(p / t, t / p) < 1.25 for p, t in pairs) / n,
        "delta2": sum(max(p / t, t / p) < 1.25**2 for p, t in pairs) / n,
        "delta3": sum(max(p / t, t / p) < 1.25**3 for p, t in pairs) / n,
        "count": n,
    }
    assert 10 < n < true.size
    assert expected["delta1"] < expected["delta2"] < 1
    assert metrics.depth_errors(predicted, true, mask) == pytest.approx(expected)


def test_a_common_scale_is_an_error_except_for_silog():
    true = np.linspace(5, 50, 10)
    errors = metrics.depth_errors(1.1 * true, true)
    assert errors["abs_rel"] == pytest.approx(0.1)
    assert errors["rmse_log"] == pytest.approx(math.log(1.1))
    assert errors["silog"] == pytest.approx(0, abs=1e-9)


def test_depth_errors_without_pixels():
    for errors in (
        metrics.depth_errors(np.full((2, 2), np.nan), np.zeros((2, 2))),
        metrics.depth_errors(np.ones((2, 2)), np.ones((2, 2)), mask=np.zeros((2, 2), bool)),
    ):
        assert errors.pop("count") == 0
        assert set(errors.values()) == {None}
        assert len(errors) == 8


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -3.0])
def test_an_impossible_prediction_is_named(bad):
    true = np.array([10.0, 20.0, 0.0])
    with pytest.raises(ValueError, match="predicted must be finite and positive"):
        metrics.depth_errors(np.array([10.0, bad, 5.0]), true)
    with pytest.raises(ValueError, match="predicted must be finite and positive"):
        metrics.distance_errors([10.0, bad], [10.0, 20.0])
    assert metrics.depth_errors(np.array([10.0, 20.0, bad]), true)["rmse"] == 0


def test_depth_shapes_and_truth_are_checked():
    with pytest.raises(ValueError, match=r"predicted has shape \(2,\), true has \(3,\)"):
        metrics.depth_errors([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="mask has shape"):
        metrics.depth_errors([1.0, 2.0], [1.0, 2.0], [True])
    with pytest.raises(ValueError, match="true must be finite and positive"):
        metrics.depth_errors([1.0, 2.0], [1.0, -2.0])


def test_distance_errors_by_hand():
    errors = metrics.distance_errors(predicted=[11, 18, 45, 10], true=[10, 20, 50, 10])
    assert errors == pytest.approx(
        {
            "abs_rel": (0.1 + 0.1 + 0.1 + 0) / 4,
            "median_error_m": 1.5,
            "median_abs_rel": 0.1,
            "rmse_m": math.sqrt((1 + 4 + 25 + 0) / 4),
            "count": 4,
        }
    )
    nothing = metrics.distance_errors([], [])
    assert nothing == {"abs_rel": None, "median_error_m": None, "median_abs_rel": None, "rmse_m": None, "count": 0}


def test_distance_errors_by_range_by_hand():
    rows = metrics.distance_errors_by_range([11, 20, 24, 200], [10, 10, 20, 150], edges=(0, 10, 20, 40))
    assert [(row["from_m"], row["to_m"], row["count"]) for row in rows] == [(0, 10, 0), (10, 20, 2), (20, 40, 1)]
    assert [row["abs_rel"] for row in rows] == [None, pytest.approx(0.55), pytest.approx(0.2)]
    assert [row["abs_rel_interval"] for row in rows] == [None, pytest.approx((0.1, 1.0)), None]
    with pytest.raises(ValueError, match="growing"):
        metrics.distance_errors_by_range([1], [1], edges=(0, 20, 10))


def test_box_height_distance_by_hand():
    boxes = [[0, 10, 30, 60], [0, 0, 5, 17]]
    distance = metrics.box_height_distance(boxes, [0, 1], class_heights=[1.5, 1.7], focal_length=700)
    np.testing.assert_allclose(distance, [700 * 1.5 / 50, 700 * 1.7 / 17])
    each = metrics.box_height_distance(boxes, [0, 1], [1.5, 1.7], focal_length=[700, 350])
    np.testing.assert_allclose(each, [21, 35])
    assert metrics.box_height_distance([], [], [1.5], 700).shape == (0,)
    with pytest.raises(ValueError, match="box 1 has no height"):
        metrics.box_height_distance([[0, 0, 5, 5], [0, 3, 5, 3]], [0, 0], [1.5], 700)
    with pytest.raises(ValueError, match="labels must lie in 0 to 0"):
        metrics.box_height_distance([[0, 0, 5, 5]], [1], [1.5], 700)


def test_the_bootstrap_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(5).normal(10, 2, 400)
    low, high = metrics.bootstrap_interval(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert (low, high) == metrics.bootstrap_interval(values, seed=0)
    assert (low, high) != metrics.bootstrap_interval(values, seed=1)
    narrow = metrics.bootstrap_interval(values, confidence=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_the_bootstrap_interval_of_another_statistic():
    assert metrics.bootstrap_interval([3.0, 3.0, 3.0], statistic=np.median) == (3.0, 3.0)
    # The maximum of a resample is the sample's maximum with probability 1 - (2/3)^3, so the upper end is exact.
    low, high = metrics.bootstrap_interval([1.0, 2.0, 9.0], statistic=np.max)
    assert (low, high) == (1.0, 9.0)
    with pytest.raises(ValueError, match="values must be"):
        metrics.bootstrap_interval([])
    with pytest.raises(ValueError, match="confidence"):
        metrics.bootstrap_interval([1.0], confidence=95)


def test_precision_and_recall_agree_with_pairs_counted_in_a_loop():
    generator = np.random.default_rng(3)
    truths, detections = [], []
    for _ in range(6):
        corners = generator.uniform(0, 60, (5, 2))
        boxes = np.concatenate([corners, corners + generator.uniform(15, 30, (5, 2))], axis=1)
        moved = np.concatenate([boxes + generator.normal(0, 3, boxes.shape), boxes[:3] + 40])
        truths.append({"boxes": boxes, "labels": generator.integers(0, 2, 5)})
        detections.append(
            {"boxes": moved, "labels": generator.integers(0, 2, 8), "scores": generator.permutation(8) / 8}
        )
    rows = metrics.detection_errors(truths, detections, ["Car", "Pedestrian"], [0.0, 0.3, 0.6, 2.0])
    for row in rows[:3]:
        right = reported = 0
        for truth, found in zip(truths, detections, strict=True):
            for label in (0, 1):
                kept = (found["labels"] == label) & (found["scores"] >= row["threshold"])
                true_boxes = truth["boxes"][truth["labels"] == label]
                right += len(metrics.match_boxes(found["boxes"][kept], found["scores"][kept], true_boxes))
                reported += kept.sum()
        assert 0 < right < reported
        expected = {"precision": right / reported, "recall": right / 30, "f1": 2 * right / (reported + 30)}
        assert row == pytest.approx({"threshold": row["threshold"], **expected})
    assert rows[3] == {"threshold": 2.0, "precision": None, "recall": 0.0, "f1": 0.0}


def test_precision_of_nothing():
    nothing = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)}
    expected = [{"threshold": 0.5, "precision": None, "recall": None, "f1": None}]
    assert metrics.detection_errors([nothing], [nothing], ["Car"], [0.5]) == expected
    assert metrics.detection_errors([], [], ["Car"], [0.5]) == expected
    with pytest.raises(ValueError, match="pass one per image"):
        metrics.detection_errors([nothing], [], ["Car"], [0.5])


def test_the_ratio_of_two_means_is_drawn_in_pairs():
    generator = np.random.default_rng(21)
    hard = generator.exponential(size=400)  # what makes an object hard for both
    ratio, low, high = metrics.ratio_interval(1.2 * hard, hard)
    assert np.allclose([ratio, low, high], 1.2)
    noisy = 1.2 * hard + 0.1 * generator.normal(size=400)
    ratio, low, high = metrics.ratio_interval(noisy, hard)
    assert ratio == pytest.approx(noisy.mean() / hard.mean())
    assert low < ratio < high
    # The delta method: the spread of mean(noisy - ratio * hard) / mean(hard).
    spread = (noisy - ratio * hard).std() / 20 / hard.mean()
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.1)
    for values, others, message in (([1.0, 2.0], [1.0], "agree"), ([], [], "non-empty"), ([np.nan], [1.0], "finite")):
        with pytest.raises(ValueError, match=message):
            metrics.ratio_interval(values, others)


def test_inside_boxes_against_a_loop_over_pixels():
    boxes = np.array([[2.4, 1.6, 4.6, 2.4], [-3.0, 5.2, 0.4, 9.0], [7.0, -6.0, 9.0, -2.0], [8.0, 3.0, 30.0, 3.0]])
    inside = metrics.inside_boxes(boxes, 6, 10)
    for row in range(6):
        for column in range(10):
            wanted = any(
                round(left) <= column <= round(right) and round(top) <= row <= round(bottom)
                for left, top, right, bottom in boxes
            )
            assert inside[row, column] == wanted
    assert not metrics.inside_boxes(np.zeros((0, 4)), 3, 3).any()


def test_many_samples_at_once_are_those_drawn_one_by_one():
    values = np.random.default_rng(3).exponential(size=37)
    one_by_one = metrics.bootstrap_interval(values, statistic=lambda drawn: drawn.mean())
    assert metrics.bootstrap_interval(values) == one_by_one
    many = np.random.default_rng(3).exponential(size=3001)  # in several parts
    assert metrics.bootstrap_interval(many, np.mean, 700) == metrics.bootstrap_interval(many, lambda x: x.mean(), 700)


def test_whole_groups_are_drawn():
    groups = ["a", "b", "a", "c", "c", "c"]
    times = metrics.draw_groups(groups, samples=200, seed=4)
    assert times.shape == (200, 6)
    assert (times[:, 0] == times[:, 2]).all()
    assert (times[:, 3:5] == times[:, 4:6]).all()
    assert (times[:, [0, 1, 3]].sum(axis=1) == 3).all()  # as many groups as there are
    assert times.min() == 0
    assert times.max() == 3
    # Each group comes once on average; the mean of 200 samples is off by 0.06 or so.
    assert times[:, [0, 1, 3]].mean(axis=0) == pytest.approx([1, 1, 1], abs=0.2)
    assert (times == metrics.draw_groups(groups, 200, 4)).all()
    for wrong in ([], [[1, 2]]):
        with pytest.raises(ValueError, match="groups must"):
            metrics.draw_groups(wrong)


def test_the_interval_over_groups_against_a_loop():
    generator = np.random.default_rng(8)
    groups = np.repeat(np.arange(9), [1, 12, 3, 3, 2, 5, 1, 1, 4])
    values = generator.normal(10, 1, 32) + generator.normal(0, 3, 9)[groups]
    drawn = np.random.default_rng(0).integers(0, 9, (1000, 9))
    means = [np.concatenate([values[groups == group] for group in sample]).mean() for sample in drawn]
    assert metrics.group_interval(values, groups) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))
    low, high = metrics.group_interval(values, groups, confidence=0.5)
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.25, 0.75])))
    for wrong, message in (
        ((values, groups[:-1]), "one for each of 32 values"), ((values, np.zeros(32)), "two groups or more"),
        (([], []), "non-empty"), (([1.0, np.nan], [0, 1]), "finite"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            metrics.group_interval(*wrong)


def test_alike_observations_of_one_group_are_no_new_knowledge():
    """Ten copies of each value: over groups the interval stays, over single values it shrinks by the root of 10."""
    values = np.random.default_rng(5).normal(10, 2, 40)
    groups = np.repeat(np.arange(40), 10)
    over_groups = np.diff(metrics.group_interval(np.repeat(values, 10), groups))
    assert over_groups == pytest.approx(np.diff(metrics.group_interval(values, np.arange(40))))
    assert over_groups == pytest.approx(2 * 1.96 * values.std() / math.sqrt(40), rel=0.1)
    assert over_groups == pytest.approx(
        math.sqrt(10) * np.diff(metrics.bootstrap_interval(np.repeat(values, 10))), rel=0.1
    )


def test_intervals_where_there_is_too_little():
    assert (
        metrics.mean_interval([])
        is metrics.mean_interval([1.0])
        is metrics.mean_interval([1.0, 2.0], ["a", "a"])
        is None
    )
    assert metrics.mean_interval([1.0, 2.0], ["a", "b"]) == metrics.group_interval([1.0, 2.0], [0, 1])
    assert metrics.mean_interval([1.0, 2.0]) == metrics.bootstrap_interval([1.0, 2.0])
    assert metrics.percentile_interval([np.nan, np.nan]) is None
    assert metrics.percentile_interval([*range(101), np.nan], confidence=0.9) == pytest.approx((5, 95))


def test_distance_errors_by_range_over_groups():
    rows = metrics.distance_errors_by_range(
        [11, 24, 13, 22], [10, 20, 10, 20], (0, 15, 30), groups=["a", "a", "b", "a"]
    )
    assert [row["abs_rel_interval"] for row in rows] == [pytest.approx((0.1, 0.3)), None]
    with pytest.raises(ValueError, match="one for each of 1 values"):
        metrics.distance_errors_by_range([1], [1], groups=[1, 2])


def test_signed_errors_by_hand():
    errors = metrics.signed_errors([-2.0, 5.0, 0.0, 1.0], [-1.0, 1.0, 0.0, 3.0])
    assert errors == {"median_error_m": 1.5, "mean_error_m": 7 / 4, "bias_m": 1 / 4, "count": 4}
    assert metrics.signed_errors([], []) == {"median_error_m": None, "mean_error_m": None, "bias_m": None, "count": 0}
    with pytest.raises(ValueError, match="1 pairs are not"):
        metrics.signed_errors([1.0, np.nan], [1.0, 1.0])
    with pytest.raises(ValueError, match="agree"):
        metrics.signed_errors([1.0], [1.0, 2.0])


def test_stated_scales_of_laplace_distributed_errors():
    generator = np.random.default_rng(6)
    scales = generator.uniform(0.1, 2, 20_000)
    errors = generator.laplace(0, scales)
    honest, sure = (metrics.laplace_calibration(errors, stated) for stated in (scales, scales / 2))
    for row in honest["within"]:
        assert row["share"] == pytest.approx(row["nominal"], abs=0.01)
    assert (honest["factor"], sure["factor"]) == (pytest.approx(1, abs=0.03), pytest.approx(2, abs=0.06))
    # Half the scale: 1 - sqrt(1 - p) instead of p.
    for row in sure["within"]:
        assert row["share"] == pytest.approx(1 - math.sqrt(1 - row["nominal"]), abs=0.01)
    assert honest["median_ratio"] == pytest.approx(0, abs=0.02)
    biased = metrics.laplace_calibration(errors + 3 * scales, scales)
    assert biased["median_ratio"] == pytest.approx(3, abs=0.02)


def test_calibration_by_hand_and_of_nothing():
    """Ratios 0.6, -0.8, 4.6 and -0.3; bounds 0.69 and 2.30."""
    result = metrics.laplace_calibration([0.6, -1.6, 4.6, -0.3], [1.0, 2.0, 1.0, 1.0], nominal=(0.5, 0.9))
    assert result == {
        "within": [{"nominal": 0.5, "share": 0.5}, {"nominal": 0.9, "share": 0.75}],
        "factor": pytest.approx(0.7 / math.log(2)),
        "median_ratio": pytest.approx(0.15),
        "count": 4,
    }
    nothing = metrics.laplace_calibration([], [])
    assert (nothing["factor"], nothing["median_ratio"], nothing["count"]) == (None, None, 0)
    assert [row["share"] for row in nothing["within"]] == [None] * 4
    for arguments, message in (
        (([1.0], [0.0]), "scales must be finite and positive"), (([np.nan], [1.0]), "errors must be finite"),
        (([1.0], [1.0], [95]), "between 0 and 1"), (([1.0], [1.0, 1.0]), "agree"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            metrics.laplace_calibration(*arguments)


@pytest.mark.parametrize("confidence", [-0.5, 0, 1, 1.5])
def test_every_interval_refuses_a_confidence_that_is_no_share(confidence):
    values = [1.0, 2.0, 4.0]
    for interval in (
        lambda: metrics.bootstrap_interval(values, confidence=confidence),
        lambda: metrics.group_interval(values, [0, 1, 2], confidence=confidence),
        lambda: metrics.ratio_interval(values, values, confidence=confidence),
    ):
        with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
            interval()


def test_what_intervals_are_without_any_setting():
    """A thousand samples, 95 %, seed 0: stored figures were made so."""
    values, others = np.random.default_rng(2).exponential(size=(2, 25))
    usual = {"samples": 1000, "confidence": 0.95, "seed": 0}
    groups = np.arange(25) // 3
    assert metrics.bootstrap_interval(values) == metrics.bootstrap_interval(values, **usual)
    assert metrics.ratio_interval(values, others) == metrics.ratio_interval(values, others, **usual)
    assert metrics.group_interval(values, groups) == metrics.group_interval(values, groups, **usual)
    assert (metrics.draw_groups(groups) == metrics.draw_groups(groups, samples=1000, seed=0)).all()
    assert metrics.percentile_interval(values) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert metrics.ratio_interval(values, others, samples=2) != metrics.ratio_interval(values, others)


def test_the_usual_ranges_begin_at_the_camera():
    rows = metrics.distance_errors_by_range([0.5, 10, 25, 35, 45, 99, 100], [0.5, 10, 25, 35, 45, 99, 100])
    assert [(row["from_m"], row["to_m"]) for row in rows] == [
        (0, 10), (10, 20), (20, 30), (30, 40), (40, 60), (60, 100),
    ]  # fmt: skip
    assert [row["count"] for row in rows] == [1, 1, 1, 1, 1, 1]


def test_fewer_labels_or_scores_than_boxes_are_refused():
    boxes = [[0, 0, 10, 10], [20, 0, 30, 10]]
    truth, found = one_image(boxes), one_image(boxes, scores=[0.9, 0.8])
    for wrong, message in [
        ((truth | {"labels": [0]}, found), r"truths\[0\]\['labels'\] must be 2 whole numbers, got shape \(1,\)"),
        ((truth, found | {"labels": [0]}), r"detections\[0\]\['labels'\] must be 2 whole numbers"),
        ((truth, found | {"scores": [0.9]}), r"detections\[0\]\['scores'\] must be 2 finite numbers"),
        ((truth | {"ignored": [False]}, found), r"truths\[0\]\['ignored'\] has shape \(1,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            metrics.average_precision([wrong[0]], [wrong[1]], ["Car"])
    with pytest.raises(ValueError, match=r"detections\[0\]\['distances'\] must have shape \(2,\), got \(1,\)"):
        metrics.average_precision_with_distance(
            [truth | {"distances": [5.0, 6.0]}], [found | {"distances": [5.0]}], ["Car"], 0.1
        )


@pytest.mark.parametrize("boxes", [[0, 0, 60, 50], [[[0, 0, 60, 50]]], [[0, 0, 60, 50, 1]], 3.0])
def test_boxes_that_are_no_rows_of_four_are_refused(boxes):
    with pytest.raises(ValueError, match=r"^boxes must be finite and \(n, 4\)"):
        metrics.box_iou(boxes, [[0, 0, 1, 1]])
