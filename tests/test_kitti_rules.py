"""KITTI's rules against cases worked out by hand, a plain loop, and COCO's figures.

Where nothing else is said, the level is moderate: labels at least 25 pixels high, at most partly occluded.
"""

import numpy as np
import pytest

from roidepth_lessons import kitti_rules, metrics

EASY, MODERATE, HARD = (40, 0, 0.15), (25, 1, 0.30), (25, 2, 0.50)
CAR = (0, 0, 60, 50)  # its copies stand far apart: see `beside`


def beside(place, box=CAR):
    left, top, right, bottom = box
    return (left + 1000 * place, top, right + 1000 * place, bottom)


def label(box, name="Car", occlusion=0, truncation=0.0):
    return name, box, occlusion, truncation


def labels_of(*rows):
    names, boxes, occlusion, truncation = zip(*rows, strict=True) if rows else ((), (), (), ())
    return {"names": names, "boxes": boxes, "occlusion": occlusion, "truncation": truncation}


def found_of(*rows):
    """Rows of score and box; a third entry is another class than Car."""
    names = [row[2] if len(row) > 2 else "Car" for row in rows]
    return {"names": names, "boxes": [row[1] for row in rows], "scores": [row[0] for row in rows]}


def precision(labels, found, level=MODERATE, overlap=0.5, name="Car", neighbours=("Van",)):
    """Of one image."""
    return kitti_rules.average_precision([labels_of(*labels)], [found_of(*found)], name, level, overlap, neighbours)


def about(value):
    return pytest.approx(value, abs=1e-12)


# Precision at 40 positions -------------------------------------------------------------------------------------------


def test_precision_at_forty_positions_and_the_best_still_to_come():
    """Four cars; hit, false alarm, hit, hit, false alarm: precision 1, 2/3, 3/4 at recall 1/4, 1/2, 3/4.

    The best still to come: 1, 3/4, 3/4. Positions 1/40 to 10/40 read 1, those to 30/40 3/4, the last ten 0.
    """
    cars = [label(beside(place)) for place in range(4)]
    found = [(0.9, beside(0)), (0.8, beside(7)), (0.7, beside(1)), (0.6, beside(2)), (0.5, beside(8))]
    assert precision(cars, found) == about((10 * 1 + 20 * 3 / 4) / 40)
    assert precision(cars, found[::-1]) == about(0.625)  # the order of detections says nothing


def test_images_are_counted_together():
    """The same in four images, whose scores are compared with each other."""
    cars = [labels_of(label(CAR)) for _ in range(4)]
    rows = [[(0.9, CAR), (0.8, beside(1))], [(0.7, CAR)], [(0.6, CAR)], [(0.5, beside(1))]]
    found = [found_of(*each) for each in rows]
    assert kitti_rules.average_precision(cars, found, "Car", MODERATE, 0.5) == about(0.625)


@pytest.mark.parametrize(("hits", "positions"), [(60, 30), (61, 31), (80, 40)])
def test_with_many_labels_each_position_has_the_hit_that_comes_nearest(hits, positions):
    """80 cars, 20 false alarms behind the 40th hit, which is recall 1/2: 20 positions read 1.

    The best precision behind them is that of the last hit. 60 hits are recall 0.75, position 30. The devkit gives the
    last hit a position of its own: with 61, recall 0.7625, it is position 31, though that stands for 0.775.
    """
    cars = [label(beside(place)) for place in range(80)]
    found = [(0.9 - 0.001 * place, beside(place)) for place in range(hits)]
    found += [(0.9 - 0.001 * 39.5, beside(place)) for place in range(100, 120)]
    assert precision(cars, found) == about((20 + (positions - 20) * hits / (hits + 20)) / 40)


@pytest.mark.parametrize(("behind", "positions"), [(83, 3), (87, 2)])
def test_of_two_hits_the_nearer_one_is_taken(behind, positions):
    """90 cars, 2.25 hits to a position, all found; one false alarm, then the best precision is 90/91.

    Position 37 is 83.25 hits and takes hit 83; position 39 is 87.75 and takes hit 88.
    """
    cars = [label(beside(place)) for place in range(90)]
    found = [(0.9 - 0.001 * place, beside(place)) for place in range(90)]
    found.append((0.9 - 0.001 * (behind - 0.5), beside(200)))
    assert precision(cars, found) == about((40 - positions + positions * 90 / 91) / 40)


@pytest.mark.parametrize("count", [1, 2, 7, 39, 40, 41, 42, 60, 99, 200])
def test_nothing_is_lost_if_all_is_found(count):
    """In the devkit, which gives each hit one position, 7 cars found would be 6/40."""
    cars = [label(beside(place)) for place in range(count)]
    assert precision(cars, [(0.9 - 0.001 * place, beside(place)) for place in range(count)]) == about(1)


def test_nothing_to_find_and_nothing_found():
    assert precision([], [(0.9, CAR)]) is None
    assert precision([label(CAR, occlusion=2)], [(0.9, CAR)]) is None
    assert precision([label(CAR, "Van"), label(CAR, "DontCare")], []) is None
    assert kitti_rules.average_precision([], [], "Car", MODERATE, 0.5) is None
    assert precision([label(CAR)], []) == 0
    assert precision([label(CAR)], [(0.9, beside(1))]) == 0


# Who takes whom ------------------------------------------------------------------------------------------------------


def test_a_pair_needs_more_than_the_overlap():
    """Two boxes of 50 rows, 60 and 30 columns: IoU 1/2. With 31 columns it is more; for 0.7, 42 of 60 is not enough."""
    assert precision([label(CAR)], [(0.9, (0, 0, 30, 50))]) == 0
    assert precision([label(CAR)], [(0.9, (0, 0, 31, 50))]) == about(1)
    assert precision([label(CAR)], [(0.9, (0, 0, 41.9, 50))], overlap=0.7) == 0
    assert precision([label(CAR)], [(0.9, (0, 0, 42.1, 50))], overlap=0.7) == about(1)


def test_each_label_takes_one_detection_and_each_detection_is_taken_once():
    """Two cars nearly in one place, one detection: half is found. A second detection of one car is a false alarm.

    The duplicate 0.8 stands before the other car's 0.7: 20 positions read 1, 20 read 2/3.
    """
    assert precision([label(CAR), label((2, 0, 62, 50))], [(0.9, CAR)]) == about(20 / 40)
    found = [(0.9, CAR), (0.8, (1, 0, 61, 50)), (0.7, beside(1))]
    assert precision([label(CAR), label(beside(1))], found) == about((20 + 20 * 2 / 3) / 40)


def test_the_first_pass_takes_the_most_certain_detection():
    """The car's threshold is 0.9, where there is one detection. By overlap it would be 0.6, and precision a half."""
    assert precision([label(CAR)], [(0.6, CAR), (0.9, (0, 0, 45, 50))]) == about(1)


def test_the_second_pass_takes_what_overlaps_most():
    """Cars A and B, 30 columns apart, and C far away; needed is an IoU above 0.6. Detections: 0.9 lies between A and B,
    85/115 = 0.739 with both; 0.6 is exactly A, 70/130 = 0.538 with B; 0.5 is C.

    First pass: A takes 0.9, B nothing, C 0.5: hits at recall 1/3 and 2/3, which are 13 and 26 positions. Second pass at
    0.5: A takes 0.6, B 0.9, C 0.5: precision 3/3. By score A would take 0.9, B nothing, and 0.6 would be a false alarm.
    """
    cars = [label((0, 0, 100, 50)), label((30, 0, 130, 50)), label(beside(1))]
    found = [(0.9, (15, 0, 115, 50)), (0.6, (0, 0, 100, 50)), (0.5, beside(1))]
    assert precision(cars, found, overlap=0.6) == about(26 / 40)


def test_a_threshold_at_which_nothing_counts_any_more():
    """First pass: the van takes 0.9, IoU 0.75, and the car 0.8. Second pass at 0.8: the van takes 0.8, its own box, and
    0.9, on which DontCare lies, is no false alarm: neither hit nor false alarm, which must not become 0/0.
    """
    van, car, region = label((0, 0, 60, 50), "Van"), label((16, 0, 60, 50)), label((0, 0, 45, 50), "DontCare")
    assert precision([van, car, region], [(0.9, (0, 0, 45, 50)), (0.8, (0, 0, 60, 50))]) == 0


# What is ignored -----------------------------------------------------------------------------------------------------

COUNTS = [
    (EASY, 40, 0, 0.15, True), (EASY, 39.9, 0, 0, False), (EASY, 50, 1, 0, False), (EASY, 50, 0, 0.16, False),
    (MODERATE, 25, 1, 0.30, True), (MODERATE, 24.9, 0, 0, False), (MODERATE, 50, 2, 0, False),
    (MODERATE, 50, 0, 0.31, False), (HARD, 25, 2, 0.50, True), (HARD, 24.9, 0, 0, False), (HARD, 50, 3, 0, False),
    (HARD, 50, 0, 0.51, False),
]  # fmt: skip
"""Level, height, occlusion, truncation, and whether such a label counts."""


@pytest.mark.parametrize(("level", "height", "occlusion", "truncation", "counts"), COUNTS)
def test_a_label_beyond_the_level_is_ignored_and_not_missed(level, height, occlusion, truncation, counts):
    """One car is found, the other is not: if that one counts, half is found."""
    other = label((1000, 0, 1060, height), occlusion=occlusion, truncation=truncation)
    assert precision([label(CAR), other], [(0.9, CAR)], level) == about(0.5 if counts else 1)


@pytest.mark.parametrize(
    "ignored", [label(CAR, occlusion=2), label(CAR, truncation=0.4), label((0, 0, 60, 24)), label(CAR, "Van")]
)
def test_finding_what_is_ignored_is_no_false_alarm(ignored):
    """0.9 finds it, 0.8 the car: with a false alarm before it, its precision would be a half."""
    assert precision([label(beside(1)), ignored], [(0.9, ignored[1]), (0.8, beside(1))]) == about(1)


@pytest.mark.parametrize("ignored", [label(CAR, occlusion=2), label(CAR, truncation=0.4), label(CAR, "Van")])
def test_finding_what_is_ignored_twice_is_one_false_alarm(ignored):
    found = [(0.9, CAR), (0.85, (1, 0, 61, 50)), (0.8, beside(1))]
    assert precision([label(beside(1)), ignored], found) == about(0.5)


def test_neighbouring_classes_are_ignored_and_others_are_not_there():
    van = label(beside(1), "Van")
    assert precision([label(CAR), van], [(0.9, CAR)]) == about(1)
    truck = label(beside(1), "Truck")
    found = [(0.9, beside(1)), (0.8, CAR)]
    assert precision([label(CAR), van], found) == about(1)
    assert precision([label(CAR), truck], found) == about(0.5)
    assert precision([label(CAR), van], found, neighbours=()) == about(0.5)
    sitting, person = label(beside(1), "Person_sitting"), label(CAR, "Pedestrian")
    people = [(0.9, beside(1), "Pedestrian"), (0.8, CAR, "Pedestrian")]
    assert precision([person, sitting], people, name="Pedestrian", neighbours=["Person_sitting"]) == about(1)
    assert precision([person, van], people, name="Pedestrian", neighbours=["Person_sitting"]) == about(0.5)


def test_a_label_of_another_class_takes_nothing():
    """A pedestrian before the car, in nearly the same place, and a car that is found as a cyclist."""
    assert precision([label(CAR, "Pedestrian"), label((2, 0, 62, 50))], [(0.9, CAR)]) == about(1)
    assert precision([label(CAR)], [(0.9, CAR, "Cyclist")]) == 0
    assert precision([label(CAR)], [(0.9, beside(1), "Cyclist"), (0.8, CAR)]) == about(1)


@pytest.mark.parametrize(("level", "least"), [(EASY, 40), (MODERATE, 25), (HARD, 25)])
def test_a_low_detection_is_no_false_alarm(level, least):
    assert precision([label(CAR)], [(0.9, (1000, 0, 1060, least - 0.1)), (0.8, CAR)], level) == about(1)
    assert precision([label(CAR)], [(0.9, (1000, 0, 1060, least)), (0.8, CAR)], level) == about(0.5)


def test_a_label_that_takes_a_low_detection_is_no_hit():
    """A car of 26 rows, found with 24, IoU 0.92. If a detection of 34 rows, IoU 0.76, is surer, the first pass takes
    that. If it is less sure, the first pass takes the low one, and there is no hit.
    """
    car, low, high = (0, 0, 60, 26), (0, 0, 60, 24), (0, 0, 60, 34)
    assert precision([label(car)], [(0.9, low)]) == 0
    assert precision([label(car)], [(0.9, high), (0.8, low)]) == about(1)
    assert precision([label(car)], [(0.9, low), (0.8, high)]) == 0


def test_the_second_pass_takes_a_low_detection_only_if_there_is_no_other():
    """The car of 26 rows and another. At 0.5, where the other is found, the first takes the detection of 34 rows: it
    overlaps the low one more, but then that of 34 would be a false alarm, and 20 positions would read a half.
    """
    cars = [label((0, 0, 60, 26)), label(beside(1))]
    assert precision(cars, [(0.7, (0, 0, 60, 24)), (0.9, (0, 0, 60, 34)), (0.5, beside(1))]) == about(1)


def test_a_low_detection_of_another_class_is_ignored_like_one_of_the_class():
    """The devkit asks for the height first: the car of 26 rows takes the surer cyclist of 24."""
    rows = [(0.9, (0, 0, 60, 24), "Cyclist"), (0.8, (0, 0, 60, 26))]
    assert precision([label((0, 0, 60, 26))], rows) == 0
    assert precision([label((0, 0, 60, 26))], [(0.9, (0, 0, 60, 25), "Cyclist"), rows[1]]) == about(1)


def test_nothing_in_a_dontcare_region_is_a_false_alarm():
    """The share of the detection's own area must be more than the overlap: 31 of 60 columns are, 30 are not; for 0.7,
    42.1 are, 41.9 are not.
    """
    region = label((1000, 0, 2000, 300), "DontCare", occlusion=-1, truncation=-1)
    for left, right, overlap, excused in [
        (1000, 1060, 0.5, True), (971, 1031, 0.5, True), (970, 1030, 0.5, False), (1969, 2029, 0.5, True),
        (1971, 2031, 0.5, False), (982.1, 1042.1, 0.7, True), (981.9, 1041.9, 0.7, False),
    ]:  # fmt: skip
        found = [(0.9, (left, 0, right, 50)), (0.8, CAR)]
        assert precision([label(CAR), region], found, overlap=overlap) == about(1 if excused else 0.5), left


def test_a_dontcare_region_excuses_many_and_takes_no_hit_away():
    region = label((0, 0, 900, 300), "DontCare", occlusion=-1, truncation=-1)
    found = [(0.9, (200, 0, 260, 50)), (0.8, (300, 0, 360, 50)), (0.7, CAR)]
    assert precision([region, label(CAR)], found) == about(1)
    assert precision([region, label(beside(1))], found) == 0  # what it holds is no hit, either
    small = label((200, 0, 220, 50), "DontCare")  # a third of the detection's area lies in it
    assert precision([small, label(CAR)], [found[0], found[2]]) == about(0.5)


# Against other ways of counting ------------------------------------------------------------------------------------


def random_scenes(seed, images, strays=4):
    """Cars that are found more or less well, some twice, and strays. Nothing is ignored; every score is another."""
    generator = np.random.default_rng(seed)
    labels, detections = [], []
    for _ in range(images):
        corner = generator.uniform(0, 250, (generator.integers(0, 5), 2))
        boxes = np.concatenate([corner, corner + generator.uniform(30, 90, corner.shape)], axis=1)
        again = np.concatenate([boxes[generator.random(len(boxes)) < share] for share in (0.8, 0.3)])
        corner = generator.uniform(0, 250, (generator.integers(0, strays), 2))
        found = np.concatenate([again + generator.normal(0, 4, again.shape), np.hstack([corner, corner + 40])])
        found[:, 3] = np.maximum(found[:, 3], found[:, 1] + 25)
        labels.append(labels_of(*(label(tuple(box)) for box in boxes)))
        detections.append(found_of(*zip(generator.random(len(found)), map(tuple, found), strict=True)))
    return labels, detections


def iou(one, other):
    width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def matched(true_boxes, found, threshold, overlap, best):
    """Detections (score, box) that the labels of one image take, one after the other."""
    free, taken = [each for each in found if each[0] >= threshold], []
    for box in true_boxes:
        near = [each for each in free if iou(each[1], box) > overlap]
        if near:
            taken.append(max(near, key=lambda each, box=box: best(each, box)))
            free.remove(taken[-1])
    return taken, len(free)


def precision_by_loops(labels, detections, overlap):
    """Mean over 40 recalls of the best precision at the threshold of any hit that reaches the recall."""
    images = [
        (truth["boxes"], list(zip(found["scores"], found["boxes"], strict=True)))
        for truth, found in zip(labels, detections, strict=True)
    ]
    total = sum(len(boxes) for boxes, _ in images)
    scores = [
        score for boxes, found in images for score, _ in matched(boxes, found, 0, overlap, lambda each, _: each[0])[0]
    ]
    curve = []
    for rank, score in enumerate(sorted(scores, reverse=True), start=1):
        pairs = [matched(*each, score, overlap, lambda each, box: iou(each[1], box)) for each in images]
        hits = sum(len(taken) for taken, _ in pairs)
        curve.append((rank / total, hits / (hits + sum(left for _, left in pairs))))
    recalls = [position / 40 for position in range(1, 41)]
    return np.mean([max((p for reached, p in curve if reached > r - 1e-9), default=0.0) for r in recalls]), total


@pytest.mark.parametrize("overlap", [0.5, 0.7])
@pytest.mark.parametrize("seed", range(6))
def test_random_scenes_agree_with_plain_loops(seed, overlap):
    """To the last digit with up to 40 labels; beyond, positions lie between hits: to one position and one hit."""
    for images in (8, 60):
        labels, detections = random_scenes(seed, images)
        expected, total = precision_by_loops(labels, detections, overlap)
        assert 0.1 < expected < 0.95
        assert (total > 40) == (images == 60)
        value = kitti_rules.average_precision(labels, detections, "Car", MODERATE, overlap)
        assert value == pytest.approx(expected, abs=1e-12 if total <= 40 else 1 / 40 + 1 / total)
        assert value >= expected - 1 / total


@pytest.mark.parametrize("seed", range(3))
def test_the_plain_case_is_as_by_coco(seed):
    """Between 40 recalls and 101 lies half a step of each at most, where cars are apart and nothing is ignored."""
    generator = np.random.default_rng(seed)
    labels, detections, truths, guesses = [], [], [], []
    for _ in range(80):
        cars = [beside(place) for place in range(generator.integers(0, 5))]
        found = [box for box in cars if generator.random() < 0.8]
        found += [beside(10 + place) for place in range(generator.integers(0, 3))]
        moved = [(left + generator.uniform(0, 25), top, right, bottom) for left, top, right, bottom in found]
        scores = generator.random(len(found)) + 0.3 * np.array([box in cars for box in found])
        labels.append(labels_of(*map(label, cars)))
        detections.append(found_of(*zip(scores, moved, strict=True)))
        truths.append({"boxes": cars, "labels": [0] * len(cars)})
        guesses.append({"boxes": moved, "labels": [0] * len(moved), "scores": scores})
    coco = metrics.average_precision(truths, guesses, ["Car"])["Car"]
    assert coco["count"] > 100
    assert 0.5 < coco["ap50"] < 0.8
    value = kitti_rules.average_precision(labels, detections, "Car", MODERATE, 0.5)
    assert value == pytest.approx(coco["ap50"], abs=0.5 / 40 + 0.5 / 101)


# Wrong input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        ({"boxes": [[0, 0, 10]]}, {}, r"labels\[1\]\['boxes'\] must be finite and \(n, 4\)"),
        ({"boxes": [[0, 9, 10, 5]]}, {}, r"labels\[1\]\['boxes'\]: box 0 ends before it begins"),
        ({"names": ["Car", "Car"]}, {}, r"labels\[1\]\['names'\] must have one entry for each of 1 boxes"),
        ({"occlusion": []}, {}, r"labels\[1\]\['occlusion'\] must have one entry"),
        ({"truncation": [np.nan]}, {}, r"labels\[1\]\['truncation'\] must be finite"),
        ({}, {"boxes": [[0, 0, np.inf, 1]]}, r"detections\[1\]\['boxes'\] must be finite"),
        ({}, {"scores": 0.9}, r"detections\[1\]\['scores'\] must have one entry"),
        ({}, {"scores": [np.nan]}, r"detections\[1\]\['scores'\] must be finite"),
    ],
)
def test_bad_arrays_are_named(truth, found, message):
    good, seen = labels_of(label(CAR)), found_of((0.9, CAR))
    with pytest.raises(ValueError, match=message):
        kitti_rules.average_precision([good, good | truth], [seen, seen | found], "Car", MODERATE, 0.5)


def test_bad_arguments_are_named():
    good, seen = labels_of(label(CAR)), found_of((0.9, CAR))
    for labels, arguments, message in [
        ([good, good], (MODERATE, 0.5), "labels are for 2 images, detections for 1"),
        ([good], (MODERATE, 50), "overlap must lie between 0 and 1"),
        ([good], (("moderate", *MODERATE), 0.5), "level must be"),
        ([good], (MODERATE, 0.5, "Van"), r"neighbours must be a list of classes.*write \['Van'\]"),
        ([{"names": ["Car"], "boxes": [CAR]}], (MODERATE, 0.5), r"labels\[0\] has no 'occlusion'"),
    ]:
        with pytest.raises(ValueError, match=message):
            kitti_rules.average_precision(labels, [seen], "Car", *arguments)


def many_images(seed, images=12):
    """Labels and detections near them or anywhere; scores in steps of 0.1, so that many are equal."""
    generator = np.random.default_rng(seed)
    labels, detections = [], []
    for _ in range(images):
        count = int(generator.integers(0, 6))
        corners = generator.uniform(0, 300, (count, 2))
        boxes = np.concatenate([corners, corners + generator.uniform(20, 60, (count, 2))], axis=1)
        names = generator.choice(["Car", "Car", "Car", "Van", "Pedestrian", "DontCare"], count)
        labels.append({
            "names": names, "boxes": boxes, "occlusion": generator.integers(0, 3, count), "truncation": np.zeros(count),
        })  # fmt: skip
        moved = np.concatenate([boxes, boxes, boxes[:2] + 150]) + generator.normal(0, 4, (2 * count + min(count, 2), 1))
        scores = np.round(generator.uniform(0, 1, len(moved)), 1)
        detections.append({"names": ["Car"] * len(moved), "boxes": moved, "scores": scores})
    return labels, detections


@pytest.mark.parametrize("seed", range(4))
def test_resampling_is_the_same_as_writing_images_down_several_times(seed):
    labels, detections = many_images(seed)
    times = np.random.default_rng(seed).integers(0, 4, (8, len(labels)))
    times[0] = 1
    found = kitti_rules.resampled(labels, detections, "Car", MODERATE, 0.5, times, ["Van"])
    for row, value in zip(times, found, strict=True):
        several = [
            [one for one, count in zip(each, row, strict=True) for _ in range(count)] for each in (labels, detections)
        ]
        assert value == pytest.approx(kitti_rules.average_precision(*several, "Car", MODERATE, 0.5, ["Van"]), abs=1e-12)
    assert np.ptp(found) > 0.02
    assert 0 < found.min() < found.max() < 1


def test_resampling_where_nothing_counts_or_is_found():
    labels, detections = many_images(0, images=3)
    nothing = [{"names": [], "boxes": [], "scores": []}] * 3
    times = np.array([[1, 1, 1], [0, 0, 0]])
    assert np.array_equal(
        kitti_rules.resampled(labels, nothing, "Car", MODERATE, 0.5, times), [0, np.nan], equal_nan=True
    )
    assert np.isnan(kitti_rules.resampled(labels, detections, "Cyclist", MODERATE, 0.5, times)).all()
    assert kitti_rules.resampled([], [], "Car", MODERATE, 0.5, np.zeros((2, 0), int)).shape == (2,)
    for wrong in (np.ones((2, 4), int), np.ones(3, int), np.ones((2, 3)), -np.ones((2, 3), int)):
        with pytest.raises(ValueError, match=r"times must be whole numbers, not negative, \(samples, 3\)"):
            kitti_rules.resampled(labels, detections, "Car", MODERATE, 0.5, wrong)


@pytest.mark.parametrize("boxes", [[0, 0, 60, 50], [[[0, 0, 60, 50]]], [[0, 0, 60, 50, 1]], 3.0])
def test_boxes_that_are_no_rows_of_four_are_refused(boxes):
    good = labels_of(label(CAR))
    with pytest.raises(ValueError, match=r"labels\[0\]\['boxes'\] must be finite and \(n, 4\)"):
        kitti_rules.average_precision([good | {"boxes": boxes}], [found_of((0.9, CAR))], "Car", MODERATE, 0.5)


def test_boxes_without_area_overlap_nothing():
    """A label or detection 50 rows high and no column wide: neither a hit nor excused by a region around it."""
    flat, region = (0, 0, 0, 50), label((0, 0, 900, 300), "DontCare", occlusion=-1, truncation=-1)
    assert precision([label(flat)], [(0.9, flat)]) == 0
    assert precision([label(beside(1)), region], [(0.9, flat), (0.8, beside(1))]) == about(0.5)


@pytest.mark.parametrize("overlap", [0, 1, 1.5, -0.1])
def test_an_overlap_that_no_pair_or_every_pair_reaches_is_refused(overlap):
    with pytest.raises(ValueError, match="overlap must lie between 0 and 1"):
        precision([label(CAR)], [(0.9, CAR)], overlap=overlap)
