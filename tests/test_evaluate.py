"""Figures of hand-made frames, worked out by hand, from a stub in the network's place."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny

from roidepth_lessons import (
    CLASSES,
    DATA_FOLDER,
    detection,
    evaluate,
    kitti,
    label_statistics,
    measures,
    model,
    roi,
    streets,
)
from roidepth_lessons.camera import Camera
from roidepth_lessons.frames import DONT_CARE, Frame, RoadObject

HEIGHT, WIDTH, FOCAL_LENGTH = 60, 100, 100.0
LABELS = {
    "near": (
        RoadObject("Car", (10.0, 20.0, 39.0, 49.0), 0.0, 0, 0.1, (1.5, 1.6, 4.0), (-5.0, 1.65, 20.0), 0.1),
        RoadObject("Pedestrian", (60.0, 10.0, 69.0, 39.0), 0.0, 0, 0.1, (1.7, 0.6, 0.8), (1.5, 1.65, 10.0), 0.1),
        RoadObject(DONT_CARE, (80.0, 0.0, 99.0, 20.0)),
    ),
    "sparse": (
        RoadObject("Van", (70.0, 20.0, 95.0, 50.0), 0.0, 0, 0.1, (2.0, 1.8, 5.0), (6.0, 1.65, 25.0), 0.1),
        RoadObject("Car", (40.0, 20.0, 55.0, 35.0), 0.0, 0, 0.1, (1.5, 1.6, 4.0), (0.0, 1.65, 40.0), 1.57),
        RoadObject("Car", (0.0, 50.0, 9.0, 59.0), 1.0, 0, 0.1, (1.5, 1.6, 4.0), (-5.0, 1.65, -0.5), 0.1),
    ),
    "empty": (),
}


def frame_named(name):
    """Dense depth and instances for "near", four LiDAR points for "sparse" (three in its car), nothing for "empty"."""
    camera = Camera([[90, 0, 49.5, 0], [0, FOCAL_LENGTH, 29.5, 0], [0, 0, 1, 0]], HEIGHT, WIDTH)
    image = np.full((HEIGHT, WIDTH, 3), sorted(LABELS).index(name), np.uint8)
    if name == "near":
        depth, instances = np.full((HEIGHT, WIDTH), 30.0, np.float32), np.zeros((HEIGHT, WIDTH), np.uint8)
        depth[:5] = 0
        depth[22:48, 12:36], instances[22:48, 12:36] = 18.5, 1
        depth[12:38, 61:68], instances[12:38, 61:68] = 9.75, 2
        return Frame(name, image, camera, LABELS[name], depth, instances)
    points = np.array([[-0.5, 0.5, 39.0], [0.0, 0.5, 39.25], [0.5, 0.5, 39.5], [6.0, 0.5, 24.0]], np.float32)
    return Frame(name, image, camera, LABELS[name], points=points if name == "sparse" else None)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    for name in LABELS:
        kitti.write_frame(folder, frame_named(name))
    return folder


def detected(name, score, box, centre, surface, instance):
    return model.DetectedObject(
        name, score, box, centre, 1.0, (0.0, 0.0, centre), surface, 0.5, instance, (1.0, 1.0, 1.0), 0.0
    )


WIDER = (60.0, 10.0, 69.0, 56.0)  # of 46 rows, the label of 29 of them: an IoU of 0.63
FOUND = {
    "near": [
        detected("Car", 0.9, LABELS["near"][0].box, 22.0, 18.0, 23.0),
        detected("Pedestrian", 0.8, WIDER, 10.5, 10.0, 9.0),
        detected("Cyclist", 0.85, LABELS["near"][1].box, 15.0, 15.0, 15.0),  # of the wrong class
        detected("Car", 0.7, (82.0, 1.0, 98.0, 19.0), 50.0, 50.0, 50.0),  # where nobody labelled anything
    ],
    "sparse": [
        detected("Car", 0.95, LABELS["sparse"][0].box, 26.0, 24.0, 26.0),  # the van: neither right nor wrong
        detected("Car", 0.85, (5.0, 20.0, 20.0, 35.0), 30.0, 30.0, 30.0),  # nothing there
        detected("Car", 0.75, LABELS["sparse"][1].box, 36.0, 39.0, 44.0),
        detected("Car", 0.65, LABELS["sparse"][2].box, 1.0, 1.0, 1.0),  # its centre lies behind the camera
    ],
    "empty": [],
}
MORE_KEYS = ["apz5", "apz10", "apz15", "ap50_moderate_interval"]
KITTI_KEYS = [f"ap{percent}_{level}" for percent in (50, 70) for level in ("easy", "moderate", "hard")]
WORK = {"near": 25.0, "sparse": 75.0, "empty": 0.0}


def decoded_depth():
    return np.linspace(5, 80, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)


class Stub:
    """Answers from `FOUND`; notes in which modes it was asked."""

    def __init__(self):
        self.modes = []

    def predict(self, image, camera, mode, threshold=None, distinct=True):
        self.modes.append(mode)
        name = sorted(LABELS)[image[0, 0, 0]]
        objects = FOUND[name]
        candidates = {
            "boxes": np.array([each.box for each in objects]).reshape(-1, 4),
            "labels": np.array([CLASSES.index(each.name) for each in objects], int),
            "scores": np.array([each.score for each in objects]),
        }
        plan = roi.Plan("windows", np.zeros((0, 4), int), np.zeros(0, int), np.zeros((0, 4), int), WORK[name], 100.0)
        depth = decoded_depth() if mode == "full" else np.zeros((HEIGHT, WIDTH), np.float32)
        return model.Prediction(tuple(objects), depth, plan, (HEIGHT, WIDTH), candidates)


@pytest.fixture(scope="module")
def figures(root):
    return evaluate.evaluate(Stub(), root, mode="roi")


def test_average_precision(figures):
    """Cars: three labels; 0.9 right, 0.85 wrong, 0.75 right, 0.65 right; the van and DontCare don't count.

    COCO reads the precision 1, 2/3 -> 3/4, 3/4 at 101 recalls: 34 of them up to 1/3, the other 67 beyond.
    """
    car, pedestrian, cyclist = (figures["detection"][name] for name in CLASSES)
    assert car["count"] == 3
    assert car["ap50"] == pytest.approx((34 + 67 * 3 / 4) / 101)
    assert car["ap"] == pytest.approx(car["ap50"])
    assert (pedestrian["count"], pedestrian["ap50"]) == (1, pytest.approx(1))
    assert pedestrian["ap"] == pytest.approx(0.3)  # right at IoU 0.5, 0.55 and 0.6 of the ten thresholds
    assert (cyclist["ap50"], cyclist["ap"], cyclist["count"]) == (None, None, 0)
    assert set(car) == set(cyclist) == {"ap50", "ap", "count", *KITTI_KEYS, *MORE_KEYS}


def test_average_precision_by_kittis_rules(figures):
    """Two cars count, that of "near" and the second of "sparse": the third is cut off. 0.9 is right, 0.75 as well; 0.95
    finds the van, 0.7 lies where nobody labelled anything, 0.65 is the car that is cut off; 0.85 is a false alarm.

    At 0.9, recall 1/2, precision is 1; at 0.75 it is 2/3. 20 positions read 1, 20 read 2/3. The images have 60 rows, so
    the lowest box that counts has 60 * 40 / 370 = 6.5: all of these are higher.
    """
    car, pedestrian, cyclist = (figures["detection"][name] for name in CLASSES)
    for key in KITTI_KEYS:
        assert car[key] == pytest.approx((20 + 20 * 2 / 3) / 40)
        assert pedestrian[key] == pytest.approx(1 if "50" in key else 0)  # an IoU of 0.63
        assert cyclist[key] is None


@pytest.mark.parametrize(("rows", "counted"), [(375, "00111"), (370, "00111"), (148, "11111"), (740, "00111")])
def test_least_heights_shrink_with_small_images(rows, counted):
    """KITTI's heights are 40 and 25 pixels; in 148 rows, two fifths of 370, they are 16 and 10."""
    image = np.zeros((rows, 64, 3), np.uint8)
    camera = Camera([[90, 0, 32, 0], [0, 90, 32, 0], [0, 0, 1, 0]], rows, 64)
    for height, counts in zip((10, 24.9, 25, 40, 60), counted, strict=True):
        label = RoadObject("Car", (0.0, 0.0, 50.0, float(height)), 0.0, 0, 0.1, (1.5, 1.6, 4.0), (0.0, 1.65, 9.0), 0.1)
        nothing = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)}
        one = measures.kitti_precision(
            [{"kitti": evaluate._for_kitti_rules(Frame("", image, camera, (label,)), nothing)}]
        )
        assert one["Car"]["ap50_moderate"] == (0 if counts == "1" else None)
        assert one["Car"]["ap50_easy"] == (0 if height >= (40 if rows > 148 else 16) else None)


def test_levels_and_neighbours_reach_the_rules():
    """A car that is largely occluded counts at the hard level only, a partly occluded one at moderate, too. Finding a
    person who sits is no mistake for pedestrians, finding a van is one.
    """
    boxes = [(10.0 * place, 10.0, 10.0 * place + 9, 39.0) for place in range(5)]
    names = ("Car", "Car", "Pedestrian", "Person_sitting", "Van")
    facts = zip(names, boxes, (2, 1, 0, 0, 0), strict=True)
    labels = tuple(RoadObject(name, box, 0.0, occlusion) for name, box, occlusion in facts)
    frame = Frame("", np.zeros((HEIGHT, WIDTH, 3), np.uint8), frame_named("near").camera, labels)
    found = {
        "boxes": np.array(boxes),
        "labels": np.array([0, 0, 1, 1, 1]),
        "scores": np.array([0.5, 0.6, 0.5, 0.9, 0.8]),
    }
    figures = measures.kitti_precision([{"kitti": evaluate._for_kitti_rules(frame, found)}])
    assert [figures["Car"][f"ap70_{level}"] for level in ("easy", "moderate", "hard")] == [None, 1, 1]
    assert figures["Pedestrian"]["ap50_moderate"] == pytest.approx(1 / 2)


def test_average_precision_counts_what_is_not_certain_enough_to_be_reported(root, figures):
    class Shy(Stub):
        def predict(self, *arguments, **choices):
            found = super().predict(*arguments, **choices)
            return found if choices else replace(found, objects=())

    shy = evaluate.evaluate(Shy(), root, mode="roi")
    assert shy["detection"] == figures["detection"]
    assert shy["distance"]["all"]["count"] == 0


def test_pairs_of_found_and_labelled_objects():
    """Not the cyclist, of another class, nor the car whose centre lies behind the camera."""
    assert evaluate.match_objects(frame_named("near"), FOUND["near"]) == [(0, 0), (1, 1)]
    assert evaluate.match_objects(frame_named("sparse"), FOUND["sparse"]) == [(2, 1)]
    assert evaluate.match_objects(frame_named("empty"), FOUND["near"]) == []
    assert evaluate.match_objects(frame_named("near"), []) == []


def test_a_table_of_found_objects():
    names = ("near", "empty", "sparse")
    frames = [frame_named(name) for name in names]
    table = evaluate.found_objects(frames, [Stub().predict(each.image, each.camera, "roi") for each in frames])
    assert table["frame"].tolist() == [0] * 4 + [2] * 4
    assert table["kind"].tolist() == [0, 1, 2, 0, 0, 0, 0, 0]
    assert table["distance"].tolist() == [22.0, 10.5, 15.0, 50.0, 26.0, 30.0, 36.0, 1.0]
    assert table["surface"][:2].tolist() == [18.0, 10.0]
    assert table["instance"][:2].tolist() == [23.0, 9.0]
    assert table["spread"].tolist() == [1.0] * 8
    assert table["position"][1].tolist() == [0, 0, 10.5]
    assert table["box"].shape == (8, 4)
    assert evaluate.found_objects([], [])["position"].shape == (0, 3)
    assert np.array_equal(table["true_distance"], [20, 10, *[np.nan] * 4, 40, np.nan], equal_nan=True)
    assert np.array_equal(table["true_surface"], [18.5, 9.75, *[np.nan] * 4, 39.25, np.nan], equal_nan=True)
    assert np.array_equal(table["true_yaw"], [0.1, 0.1, *[np.nan] * 4, 1.57, np.nan], equal_nan=True)
    assert table["true_position"][[0, 1, 6]].tolist() == [[-5, 1.65, 20], [1.5, 1.65, 10], [0, 1.65, 40]]
    assert np.isnan(table["true_position"][[2, 3, 4, 5, 7]]).all()


def test_what_other_thresholds_would_report(figures):
    """Four labels. From 0.5 up two cars and the pedestrian of "near" and "sparse" are right, and the clipped car; the
    cyclist and the car of 0.85 are false alarms; the van and DontCare don't count.
    """
    rows = {each["threshold"]: each for each in figures["by_threshold"]}
    assert list(rows) == pytest.approx(np.arange(0.1, 0.91, 0.05))
    assert rows[0.5] == {"threshold": 0.5, "precision": 4 / 6, "recall": 1.0, "f1": 8 / 10}
    assert rows[0.8] == {"threshold": 0.8, "precision": 2 / 4, "recall": 2 / 4, "f1": 4 / 8}
    assert rows[0.9] == {"threshold": 0.9, "precision": 1.0, "recall": 1 / 4, "f1": 2 / 5}


def test_what_is_found_twice_counts_once(root):
    class Twice(Stub):
        def predict(self, *arguments, **choices):
            found = super().predict(*arguments, **choices)
            for name, values in found.candidates.items():
                found.candidates[name] = np.concatenate([values, values * (0.9 if name == "scores" else 1)])
            return replace(found, objects=2 * found.objects) if choices else found

    once, twice = evaluate.evaluate(Stub(), root, mode="roi"), evaluate.evaluate(Twice(), root, mode="roi")
    assert twice["by_threshold"] == once["by_threshold"]


def test_distances_to_the_centre(figures):
    """Car 22 for 20 m and 36 for 40, pedestrian 10.5 for 10. The car behind the camera has no distance."""
    distance = figures["distance"]
    assert distance["all"]["count"] == 3
    assert distance["all"]["abs_rel"] == pytest.approx((0.1 + 0.1 + 0.05) / 3)
    assert distance["all"]["median_error_m"] == pytest.approx(2)
    assert distance["all"]["rmse_m"] == pytest.approx(np.sqrt((4 + 16 + 0.25) / 3))
    assert distance["Car"]["abs_rel"] == pytest.approx(0.1)
    assert distance["Car"]["median_error_m"] == pytest.approx(3)
    assert distance["Pedestrian"]["median_error_m"] == pytest.approx(0.5)
    assert distance["Cyclist"]["abs_rel"] is None
    low, high = distance["all"]["abs_rel_interval"]
    assert 0.05 <= low < distance["all"]["abs_rel"] < high <= 0.1 + 1e-9


def test_distances_by_range(figures):
    rows = {(row["from_m"], row["to_m"]): row for row in figures["distance"]["by_range"]}
    assert {bounds: row["count"] for bounds, row in rows.items() if row["count"]} == {
        (10, 20): 1,
        (20, 30): 1,
        (40, 60): 1,
    }
    assert rows[10, 20]["abs_rel"] == pytest.approx(0.05)
    assert rows[40, 60]["median_error_m"] == pytest.approx(4)
    assert rows[0, 10]["abs_rel"] is None


def test_distances_to_the_surface_and_of_the_detection_head(figures):
    """Surfaces: 18.5 and 9.75 m by instance and depth maps, 39.25 m by the LiDAR points in the 3D box."""
    surface = figures["distance_surface"]
    assert surface["all"]["count"] == 3
    assert surface["all"]["abs_rel"] == pytest.approx((0.5 / 18.5 + 0.25 / 9.75 + 0.25 / 39.25) / 3, rel=1e-3)
    assert set(surface) == set(figures["distance"]) == {"all", "moderate", "by_range", *CLASSES}
    assert figures["distance_instance"]["all"]["abs_rel"] == pytest.approx((3 / 20 + 1 / 10 + 4 / 40) / 3)


def test_baseline_from_the_box_height(figures):
    """z = f H / h: boxes of 29, 46 and 15 pixels."""
    facts = json.loads((DATA_FOLDER / "kitti_statistics.json").read_text())["classes"]
    car, pedestrian = (facts[name]["apparent_height"] for name in ("Car", "Pedestrian"))
    guesses = np.array([100 * car / 29, 100 * pedestrian / 46, 100 * car / 15])
    baseline = figures["baseline_box_height"]
    assert baseline["all"]["abs_rel"] == pytest.approx(np.mean(np.abs(guesses / [20, 10, 40] - 1)))
    assert baseline["Pedestrian"]["abs_rel"] == pytest.approx(abs(guesses[1] / 10 - 1))
    assert set(baseline) == set(figures["distance"])


def test_work_of_the_head(figures):
    assert figures["head_work"] == {"mean": pytest.approx((0.25 + 0.75 + 0) / 3), "max": pytest.approx(0.75)}
    assert (figures["frames"], figures["mode"]) == (3, "roi")


def test_depth_errors_pooled_over_all_pixels(figures, root):
    """Directly over the pixels of all frames; "sparse" has four of them, one outside the boxes of our classes."""
    decoded = decoded_depth().astype(np.float64)
    pairs = {"image": [], "inside_boxes": []}
    for name, objects in LABELS.items():
        if name == "empty":
            continue
        frame = kitti.read_frame(root, name)
        depth = frame.depth if name == "near" else frame.with_lidar_depth().depth
        inside = np.zeros(depth.shape, bool)
        for each in objects:
            left, top, right, bottom = (int(edge) for edge in each.box)
            if each.name in CLASSES:
                inside[top : bottom + 1, left : right + 1] = True
        for part, mask in [("image", depth > 0), ("inside_boxes", (depth > 0) & inside)]:
            pairs[part].append((decoded[mask], depth[mask].astype(np.float64)))
    assert [len(true) for _, true in pairs["image"]] == [55 * 100, 4]
    assert [len(true) for _, true in pairs["inside_boxes"]] == [30 * 30 + 10 * 30, 3]
    for part, frames in pairs.items():
        predicted, true = (np.concatenate(each) for each in zip(*frames, strict=True))
        log_error = np.log(predicted / true)
        ratio = np.maximum(predicted / true, true / predicted)
        assert figures["depth"][part] == {
            "count": len(true),
            "abs_rel": pytest.approx(np.mean(np.abs(predicted - true) / true)),
            "sq_rel": pytest.approx(np.mean((predicted - true) ** 2 / true)),
            "rmse": pytest.approx(np.sqrt(np.mean((predicted - true) ** 2))),
            "rmse_log": pytest.approx(np.sqrt(np.mean(log_error**2))),
            "silog": pytest.approx(np.mean([100 * np.std(np.log(p / t)) for p, t in frames])),
            **{f"delta{n}": pytest.approx(np.mean(ratio < 1.25**n)) for n in (1, 2, 3)},
        }


def test_depth_maps_are_decoded_in_full_but_only_where_they_can_be_measured(root):
    """ "empty" has neither depth nor labels; in the others each candidate is asked for its distance as well."""
    for mode, asked in {"roi": ["roi", "roi", "full", "roi", "full"], "full": ["full"] * 5}.items():
        stub = Stub()
        evaluate.evaluate(stub, root, mode=mode)
        assert stub.modes == asked


def test_chosen_frames_and_progress(root):
    told = []
    figures = evaluate.evaluate(Stub(), root, ["near"], "auto", lambda *counts: told.append(counts))
    assert told == [(1, 1)]
    assert figures["frames"] == 1
    assert figures["detection"]["Car"]["count"] == 1
    evaluate.evaluate(Stub(), root, None, "auto", lambda *counts: told.append(counts))
    assert told[1:] == [(1, 3), (2, 3), (3, 3)]


def test_a_frame_of_which_nothing_is_known(root):
    """No label, no depth, no LiDAR: nothing can be measured but the work, and nothing fails."""
    figures = evaluate.evaluate(Stub(), root, ["empty"])
    nothing_to_find = {"ap50": None, "ap": None, "count": 0, **dict.fromkeys([*KITTI_KEYS, *MORE_KEYS])}
    assert all(figures["detection"][name] == nothing_to_find for name in CLASSES)
    assert figures["distance"]["all"]["count"] == figures["depth"]["image"]["count"] == 0
    assert figures["distance"]["all"]["abs_rel"] is figures["distance"]["all"]["abs_rel_interval"] is None
    assert figures["head_work"] == {"mean": 0, "max": 0}
    assert "   -  " in evaluate.table(figures)
    nothing = evaluate.evaluate(Stub(), root, [])
    assert nothing["frames"] == 0
    assert nothing["head_work"] == {"mean": None, "max": None}
    json.dumps([figures, nothing], allow_nan=False)


def test_table_shows_the_figures(figures):
    lines = evaluate.table(figures).splitlines()
    assert lines[1].split() == ["Car", "83.4", "%", "83.4", "%", "3", "10.0", "%", "1.7", "%"]
    assert lines[3].split()[:4] == ["Cyclist", "-", "-", "0"]
    assert lines[4].split() == ["all", "8.3", "%", "2.0", "%"]
    by_kitti = "AP by KITTI's rules, moderate, overlap 0.5 / 0.7: Car {}, Pedestrian 100.0 % / 0.0 %, Cyclist - / -"
    assert lines[5] == by_kitti.format("83.3 % / 83.3 %")
    car = figures["detection"]["Car"] | {"ap50_moderate": 0.2, "ap70_moderate": 0.1}
    others = evaluate.table(figures | {"detection": figures["detection"] | {"Car": car}}).splitlines()
    assert others[5] == by_kitti.format("20.0 % / 10.0 %")
    assert lines[6] == "most hits for the fewest false alarms (F1 80.0 %): threshold 0.10"
    assert lines[7].endswith(f"{100 * figures['baseline_box_height']['all']['abs_rel']:5.1f} %")
    row_mean = figures["baseline_row_mean"]["all"]["abs_rel"]
    assert lines[8].endswith(f"LiDAR in the box, same objects:   0.6 %; mean depth of the row: {100 * row_mean:5.1f} %")
    assert lines[9].startswith("95 % interval of the distance error, over 3 frames: 7.5 % to 10.0 %; of Car's AP by")
    assert lines[10].endswith(
        "15 %: Car 0.0 % / 83.5 % / 83.5 %, Pedestrian 100.0 % / 100.0 % / 100.0 %, Cyclist - / - / -"
    )
    assert lines[11] == "place, median of |error| and bias: ahead 2.00 m, -0.50 m; aside 1.50 m, +1.17 m"
    assert "stated 50 / 95 % interval: 33.3 % / 66.7 %; the spread should be 3.03 times as large" in lines[12]
    assert lines[-1].endswith("mean  33.3 %, most  75.0 % of the full frame")


def test_average_precision_with_distances(figures):
    """Cars: 22 for 20 m and 36 for 40 are both 10 % off; the one behind the camera has no distance and is ignored, and
    so is what finds it. 0.9 is right, 0.85 wrong, 0.75 right: precision 1 up to recall 1/2, then 2/3.
    """
    car, pedestrian, cyclist = (figures["detection"][name] for name in CLASSES)
    assert car["apz5"] == 0
    assert car["apz10"] == car["apz15"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert [pedestrian[key] for key in MORE_KEYS[:3]] == pytest.approx([1, 1, 1])
    assert [cyclist[key] for key in MORE_KEYS[:3]] == [None] * 3


def test_average_precision_with_distances_asks_every_candidate(root):
    """The pedestrian's distance is that of its candidate, not that of the object which is reported."""

    class Changeable(Stub):
        def predict(self, *arguments, **choices):
            found = super().predict(*arguments, **choices)
            factor = 1.1 if choices == {"threshold": 0.0, "distinct": False} else 1
            return replace(
                found, objects=tuple(replace(each, distance_m=factor * each.distance_m) for each in found.objects)
            )

    figures = evaluate.evaluate(Changeable(), root, mode="roi")
    assert [figures["detection"]["Pedestrian"][key] for key in MORE_KEYS[:3]] == [0, 0, 0]  # 15.5 % off
    assert figures["distance"]["Pedestrian"]["abs_rel"] == pytest.approx(0.05)


def test_longitudinal_and_lateral_errors(figures):
    """The stub's places have x = 0; the labels' x are -5, 1.5 and 0 m, z is off by 2, 0.5 and -4 m."""
    ahead, aside = figures["longitudinal"], figures["lateral"]
    errors = {key: pytest.approx(value) for key, value in {"median_error_m": 2, "mean_error_m": 6.5 / 3}.items()}
    # Two of the three frames hold objects. Drawn twice, the one gives a mean of 1.25 m, the other of 4 m.
    interval = pytest.approx((1.25, 4))
    assert ahead["all"] == errors | {"bias_m": pytest.approx(-0.5), "count": 3, "mean_error_m_interval": interval}
    assert [aside["all"][key] for key in ("median_error_m", "bias_m")] == pytest.approx([1.5, 3.5 / 3])
    assert aside["Car"]["bias_m"] == pytest.approx(2.5)
    assert aside["Cyclist"] == dict.fromkeys(aside["Cyclist"]) | {"count": 0}
    rows = {row["from_m"]: row for row in ahead["by_range"]}
    assert [rows[start]["bias_m"] for start in (0, 10, 20, 40)] == [None, 0.5, 2, -4]
    assert list(rows[10])[:2] == ["from_m", "to_m"]


def test_calibration_against_centre_and_surface(figures):
    """Spreads of 1 m at 22, 10.5 and 36 m; |log error| / scale is 2.10, 0.51 and 3.79 for the centres."""
    ratios = np.log(np.array([22 / 20, 10.5 / 10, 36 / 40])) * [22, 10.5, 36]
    center = figures["calibration"]["center"]["all"]
    assert [each["nominal"] for each in center["within"]] == [0.5, 0.683, 0.9, 0.95]
    assert [each["share"] for each in center["within"]] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert center["factor"] == pytest.approx(ratios[0] / np.log(2))
    assert (center["median_ratio"], center["count"]) == (pytest.approx(ratios[1]), 3)
    surface = figures["calibration"]["surface"]["all"]
    ratios = np.log(np.array([18 / 18.5, 10 / 9.75, 39 / 39.25])) * [22, 10.5, 36]
    assert surface["factor"] == pytest.approx(np.median(np.abs(ratios)) / np.log(2))
    assert [each["share"] for each in surface["within"]] == [1, 1, 1, 1]
    assert figures["calibration"]["center"]["Cyclist"]["factor"] is None


def test_baseline_from_lidar(figures):
    """Only "sparse" has points: 39, 39.25 and 39.5 m in its car. The centre of a cube of 1 m lies 0.5 m deeper."""
    for name in ("baseline_lidar", "baseline_lidar_alone"):
        center, surface = figures[name], figures[f"{name}_surface"]
        assert (center["all"]["count"], center["Pedestrian"]["count"], center["answered"]) == (1, 0, 1)
        assert center["all"]["abs_rel"] == pytest.approx(0.25 / 40)
        assert surface["Car"]["abs_rel"] == pytest.approx(0)
        assert set(center) == {*figures["distance"], "answered"}


def row_means_by_hand(maps, frame_names, slope):
    """Mean depth of the pixels of some frames in the row at a slope; beyond rows that are known, of the next."""
    depths = {}
    for name in set(frame_names) & set(maps):
        for row, pixels in enumerate(maps[name].tolist()):
            step = round((row - 29.5) / FOCAL_LENGTH * 240)
            depths.setdefault(step, []).extend(depth for depth in pixels if depth > 0)
    depths = {step: found for step, found in depths.items() if found}
    steps = sorted(depths)
    return np.interp(slope * 240, steps, [np.mean(depths[step]) for step in steps])


def test_baseline_from_the_mean_depth_of_rows_in_other_frames(figures, root):
    near, sparse = (kitti.read_frame(root, name) for name in ("near", "sparse"))
    maps = {"near": near.depth, "sparse": sparse.with_lidar_depth().depth}  # nothing is known of "empty"
    bottoms, trues = {"near": (49, 56), "sparse": (35,)}, {"near": (20, 10), "sparse": (40,)}
    others = {"near": ["sparse", "empty"], "sparse": ["near", "empty"]}
    guesses = {
        name: [row_means_by_hand(maps, others[name], (bottom - 29.5) / FOCAL_LENGTH) for bottom in bottoms[name]]
        for name in others
    }
    off = [abs(g / t - 1) for name in others for g, t in zip(guesses[name], trues[name], strict=True)]
    assert figures["baseline_row_mean"]["all"]["abs_rel"] == pytest.approx(np.mean(off))
    assert figures["baseline_row_mean"]["Pedestrian"]["abs_rel"] == pytest.approx(off[1])
    assert figures["baseline_row_mean_surface"]["Pedestrian"]["abs_rel"] == pytest.approx(
        abs(guesses["near"][1] / 9.75 - 1)
    )
    errors = []
    for name, true in maps.items():
        for row in np.flatnonzero(true.any(axis=1)):
            guess = row_means_by_hand(maps, others[name], (row - 29.5) / FOCAL_LENGTH)
            errors += [abs(guess / depth - 1) for depth in true[row] if depth > 0]
    depth = figures["baseline_row_mean_depth"]
    assert depth["image"]["abs_rel"] == pytest.approx(np.mean(errors))
    assert [depth[part]["count"] for part in depth] == [figures["depth"][part]["count"] for part in depth]


def test_frames_of_one_drive_belong_together(root, tmp_path):
    """Objects of a single drive give no interval, and nothing is learnt from a drive for its own frames."""
    copy = shutil.copytree(root, tmp_path / "copy")
    drives = copy / "drives.tsv"
    drives.write_text("frame_id\traw_drive\nnear\tone\nsparse\tone\nempty\tother\n")
    figures = evaluate.evaluate(Stub(), copy)
    assert (figures["interval_over"], figures["interval_groups"]) == ("drives", 2)
    assert figures["distance"]["all"]["count"] == 3
    assert figures["distance"]["all"]["abs_rel_interval"] is None
    assert figures["baseline_row_mean"]["all"]["count"] == figures["baseline_row_mean_depth"]["image"]["count"] == 0
    drives.write_text("frame_id\traw_drive\nnear\tone\nsparse\ttwo\nempty\tother\n")
    apart = evaluate.evaluate(Stub(), copy)
    assert apart["distance"]["all"]["abs_rel_interval"] == pytest.approx((0.075, 0.1))
    assert apart["baseline_row_mean"]["all"]["count"] == 3
    drives.write_text("frame_id\traw_drive\nnear\tone\nempty\tother\n")
    with pytest.raises(ValueError, match=r"drives\.tsv doesn't say from which drive frame sparse is"):
        evaluate.evaluate(Stub(), copy)
    assert evaluate.evaluate(Stub(), copy, ["near"])["interval_groups"] == 1


def test_intervals_are_over_frames_where_no_drives_are_known(figures):
    """Two frames hold cars. "near" alone: one car, found; "sparse" alone: one car, found behind a false alarm."""
    assert (figures["interval_over"], figures["interval_groups"]) == ("frames", 3)
    low, high = figures["detection"]["Car"]["ap50_moderate_interval"]
    assert (low, high) == pytest.approx((1 / 2, 1))
    assert figures["detection"]["Pedestrian"]["ap50_moderate_interval"] == (1, 1)  # found, with an IoU of 0.63
    assert figures["detection"]["Cyclist"]["ap50_moderate_interval"] is None
    assert figures["distance"]["Car"]["abs_rel_interval"] == pytest.approx((0.1, 0.1))
    assert figures["distance"]["Pedestrian"]["abs_rel_interval"] is None  # all in one frame


def test_a_damaged_frame_is_named(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy")
    (copy / "training" / "velodyne" / "sparse.bin").write_bytes(b"123")
    with pytest.raises(ValueError, match=r"sparse\.bin"):
        evaluate.evaluate(Stub(), copy)


def write_labels(folder, focal_lengths, rows):
    for number, (focal_length, text) in enumerate(zip(focal_lengths, rows, strict=True)):
        for kind, content in {
            "label_2": text,
            "calib": f"P2: 50 0 9 0 0 {focal_length} 9 0 0 0 1 0\n",
        }.items():
            (folder / kind).mkdir(exist_ok=True)
            (folder / kind / f"{number:06d}.txt").write_text(content)
    return folder / "label_2", folder / "calib"


def test_apparent_heights_by_hand(tmp_path):
    """Median of z h / f; each frame has its own vertical f; what is hidden, cut off or behind doesn't count."""
    row = "{} {} {} 0 10 20 30 {} 1.5 1.6 4.0 0 1.65 {} 0\n"
    names = ("Car", "Pedestrian", "Cyclist", "Van", "Truck")
    good = "".join(row.format(name, 0, 0, 20 + 10 * i, 8) for i, name in enumerate(names, 1))
    bad = row.format("Car", 0.3, 0, 90, 8) + row.format("Car", 0, 1, 90, 8) + row.format("Car", 0, 0, 90, -8)
    folders = write_labels(tmp_path, [80] * 30 + [160] * 40, [good + bad] * 70)
    heights = label_statistics.apparent_heights(*folders)
    assert heights == {name: pytest.approx(10 * i * 8 / 160) for i, name in enumerate(names, 1)}
    (folders[1] / "000007.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"calib/000007\.txt"):
        label_statistics.apparent_heights(*folders)


def test_apparent_heights_want_enough_labels(tmp_path):
    folders = write_labels(tmp_path, [80], [""])
    with pytest.raises(ValueError, match="fewer than 50 fully visible objects of class Car"):
        label_statistics.apparent_heights(*folders)


@pytest.fixture(scope="module")
def street_and_patches():
    """A drawn street, and its patches if every object but the first of `CLASSES` were found where its label is."""
    street, network = streets.draw_street([8, 252]), model.RoiDepth(tiny.small_network())
    known = [number for number, each in enumerate(street.objects) if each.name in CLASSES]
    properties = np.zeros((len(known) - 1, len(detection.OBJECT_FIELDS)))
    properties[:, detection.OBJECT_FIELDS.index("log_distance")] = known[1:]
    boxes = np.array([street.objects[number].box for number in known[1:]])
    found = {"boxes": boxes, "scores": np.linspace(0.9, 0.5, len(boxes)), "properties": properties}
    _, padded = network.detect(street.image, street.camera)
    return street, network, known, (found, padded), evaluate.found_patches(network, street, found, padded)


def test_patches_of_found_objects_are_what_lies_in_their_boxes(street_and_patches):
    street, network, known, (_, padded), patches = street_and_patches
    seen = [number for number in known[1:] if (street.instances == number + 1).any()]
    assert sorted(each.number for each in patches) == seen  # the first was not found
    (everything,) = network.decode(padded, network.plan([], padded.shape[1:3], "full"))
    for each in patches:
        assert each.log_distance == each.number
        assert each.box == tuple(street.objects[each.number].box)
        left, top, right, bottom = np.clip(np.rint(each.box).astype(int), 0, [415, 127, 415, 127])
        there = np.s_[top : bottom + 1, left : right + 1]
        np.testing.assert_array_equal(each.photo, street.image[there])
        np.testing.assert_array_equal(each.true, street.depth[there])
        np.testing.assert_array_equal(each.own, street.instances[there] == each.number + 1)
        np.testing.assert_array_equal(each.decoded, everything[there])


def test_a_car_behind_a_tree_is_hidden_in_part(street_and_patches):
    *_, patches = street_and_patches
    hidden = {each.number: each.hidden for each in patches}
    assert 0.1 < hidden[4] < 0.9
    own, true = np.array([[False, True, True]]), np.array([[5.0, 10.0, 11.0]])
    part = evaluate.FoundPatch(0, (), None, 0.0, own, true, None)
    assert part.hidden == pytest.approx(1 / 3)
    assert evaluate.FoundPatch(0, (), None, 0.0, own, true + [[4.5, 0, 0]], None).hidden == 0


def test_where_nothing_was_found_there_is_no_patch(street_and_patches):
    street, network, _, (found, padded), _ = street_and_patches
    nothing = {name: values[:0] for name, values in found.items()}
    assert evaluate.found_patches(network, street, nothing, padded) == []


def test_distances_are_measured_apart_for_labels_that_count_at_the_moderate_level():
    """Two cars found twice as far as they are and one as far as it is; of the first two one is cut off by the rim."""
    seen = [(10.0, 0.0, 0), (20.0, 0.6, 0), (30.0, 0.1, 1)]
    objects = [
        RoadObject(
            "Car", (100.0 * i, 10.0, 100.0 * i + 60, 60.0), cut, hidden, 0.1, (1.5, 1.6, 4.0), (0.0, 1.65, z), 0.1
        )
        for i, (z, cut, hidden) in enumerate(seen)
    ]
    camera = Camera.from_focal_length(300.0, 375, 400)
    frame = Frame("seen", np.zeros((375, 400, 3), np.uint8), camera, tuple(objects))
    found = tuple(
        model.DetectedObject("Car", 0.9, each.box, z, 1.0, (0.0, 1.65, z), z, 0.1, z, (1.5, 1.6, 4.0), 0.1)
        for each, z in zip(objects, (20.0, 40.0, 30.0), strict=True)
    )
    prediction = model.Prediction(found, np.zeros((375, 400)), None, (375, 400), {})
    table = evaluate.found_objects([frame], [prediction])
    assert table["moderate"].tolist() == [True, False, True]
    pairs = {name: table[name] for name in ("kind", "distance", "true_distance", "moderate")} | {"group": np.arange(3)}
    figures = measures._distance_figures(pairs, "distance", "true_distance")
    assert (figures["moderate"]["count"], figures["moderate"]["abs_rel"]) == (2, pytest.approx(0.5))
    assert (figures["all"]["count"], figures["all"]["abs_rel"]) == (3, pytest.approx(2 / 3))
