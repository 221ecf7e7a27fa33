"""Whatever a file holds and whatever numbers come: a documented result, or an error that names the file or argument.

Hypothesis makes the inputs: files that were damaged by hand, any text, any numbers, NaN and infinity included. It draws
the same ones each time. ``ROIDEPTH_FUZZ=many`` draws other ones, forty times as many, and takes a quarter of an hour.
"""

import io
import json
import os
from dataclasses import asdict
from fractions import Fraction

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from roidepth_lessons import camera, depth, detection, kitti, metrics, model, roi, streets, study_book, train
from roidepth_lessons.frames import DONT_CARE, RoadObject

MANY = os.environ.get("ROIDEPTH_FUZZ") == "many"
settings.register_profile(
    "roidepth",
    derandomize=not MANY,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("roidepth")


def examples(count):
    return settings(max_examples=count * (40 if MANY else 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


NUMBERS = st.floats(width=64) | st.integers(-(10**9), 10**9).map(float)
FINITE = st.floats(-1e4, 1e4)
LABELS = b"Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59\n"
CALIBRATION = (
    b"P2: 7.2e+02 0 6.1e+02 4.5e+01 0 7.2e+02 1.7e+02 2.1e-01 0 0 1 2.7e-03\n"
    b"R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.27\n"
)
DRIVES = b"frame_id\traw_drive\n000000\t2011_09_26_drive_0001\n000001\t2011_09_26_drive_0002\n"
NOTE = json.dumps({"seed": 1, "height": 64, "width": 128, "looks": "varied", "version": "0.1.0", "count": 0}).encode()
CARD = json.dumps({"drives_seen": ["a", "b"], "settings": {"start": None}}).encode()
BOOK_WORDS = [
    b"nan",
    b"-inf",
    b"1e400",
    b"-1",
    b"1_0",
    b"\x00",
    b"\xff",
    b"\xc2\x85",
    b"\t",
    b"\n",
    b"P2:",
    b"[" * 3000,
]


def damaged(whole):
    """Bytes of a sound file of which parts were lost, repeated or replaced."""
    place = st.integers(0, len(whole))

    def damage(first, second, middle):
        return whole[: min(first, second)] + middle + whole[max(first, second) :]

    middle = st.binary(max_size=8) | st.sampled_from(BOOK_WORDS)
    return st.builds(damage, place, place, middle) | st.builds(lambda at, new: damage(at, at, new), place, middle)


def whatever(whole):
    """Damaged files most of the time, any bytes sometimes."""
    return damaged(whole) | st.binary(max_size=200) | st.just(whole)


def attempt(function, *arguments):
    """What a function returns, and the text of the ValueError that it raises: one of them is None."""
    try:
        return function(*arguments), None
    except ValueError as error:
        return None, str(error)


def read_or_refuse(read, path, data):
    """What a reader makes of these bytes; None if it refuses them, and then it has to name the file."""
    path.write_bytes(data)
    made, refusal = attempt(read, path)
    assert refusal is None or str(path) in refusal
    return made


def json_values():
    plain = st.none() | st.booleans() | NUMBERS | st.integers() | st.text(max_size=4)
    return st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    )


# Readers -------------------------------------------------------------------------------------------------------------


@examples(150)
@given(whatever(LABELS))
@example(LABELS.replace(b"46.70", b"4_6"))
def test_label_files(folder, data):
    objects = read_or_refuse(kitti.read_labels, folder / "labels.txt", data)
    for each in objects or ():
        numbers = [each.truncation, each.alpha, *each.box, *each.dimensions, *each.location, each.yaw, each.score or 0]
        assert np.isfinite(numbers).all()
        assert each.box[0] <= each.box[2]
        assert each.box[1] <= each.box[3]
        assert isinstance(each.occlusion, int)
    # Every number stands in the file in digits, as any other reader would take it; a class may be called anything.
    if objects:
        assert not any("_" in field for line in data.decode().splitlines() for field in line.split()[1:])


@examples(100)
@given(
    st.lists(
        st.builds(
            RoadObject,
            name=st.sampled_from(["Car", "Pedestrian", "a b", "", DONT_CARE, "Fußgänger"]),
            box=st.tuples(NUMBERS | FINITE, FINITE, FINITE, FINITE),
            truncation=FINITE,
            occlusion=st.integers(-1, 3),
            alpha=FINITE,
            dimensions=st.tuples(FINITE, FINITE, FINITE),
            location=st.tuples(FINITE, FINITE, FINITE | NUMBERS),
            yaw=FINITE,
            score=st.none() | st.floats(0, 1),
        ),
        max_size=3,
    )
)
def test_labels_are_read_as_they_were_written(folder, objects):
    path = folder / "written.txt"
    path.unlink(missing_ok=True)
    _, refusal = attempt(kitti.write_labels, path, objects)
    if refusal:
        assert str(path) in refusal
        assert not path.exists()
        return
    read = kitti.read_labels(path)
    assert [each.name for each in read] == [each.name for each in objects]
    for after, before in zip(read, objects, strict=True):
        assert after.box == pytest.approx(before.box, abs=0.0051)
        if before.name != DONT_CARE:
            assert after.location == pytest.approx(before.location, abs=0.0051)


@examples(150)
@given(whatever(CALIBRATION), st.booleans())
@example(CALIBRATION.replace(b"7.2e+02", b"1e-320"), True)
@example(CALIBRATION + CALIBRATION.replace(b"7.2e+02", b"3e+02"), True)
def test_calibration_files(folder, data, with_lidar):
    calibration = read_or_refuse(lambda path: kitti.read_calibration(path, with_lidar), folder / "calib.txt", data)
    if calibration is None:
        return
    found = calibration.camera(375, 1242)
    assert (found.vector[:2] > 0).all()  # what the network is told, in single precision
    assert np.isfinite(found.unproject([10.0, 10.0], 20.0)).all()
    points = np.array([[1.0, 2, 3], [50, -20, 1]])
    there = calibration.points_from_velodyne(points)
    np.testing.assert_allclose(calibration.points_to_velodyne(there), points, atol=0.2)
    assert [line.partition(":")[0].strip() for line in data.decode().splitlines()].count("P2") == 1


def encoded(array, kind="png", **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


DEPTH = encoded(np.arange(0, 6 * 2560, 256).reshape(6, 10).astype(np.uint16))


@examples(150)
@given(
    whatever(DEPTH)
    | hnp.arrays(np.int32, (3, 4)).map(lambda values: encoded(values, "tiff"))
    | hnp.arrays(np.float32, (3, 4)).map(lambda values: encoded(values, "tiff"))
)
def test_depth_maps(folder, data):
    values = read_or_refuse(kitti.read_depth, folder / "depth.png", data)
    if values is not None:
        assert values.dtype == np.float32
        assert values.ndim == 2
        assert ((values >= 0) & (values < 256)).all()


@examples(60)
@given(whatever(DEPTH), st.sampled_from([kitti.read_instances, kitti.read_road]))
def test_other_maps(folder, data, read):
    values = read_or_refuse(read, folder / "map.png", data)
    assert values is None or values.ndim == 2


PICTURE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


@examples(100)
@given(st.sampled_from([encoded(PICTURE), encoded(PICTURE, "jpeg")]).flatmap(whatever))
def test_photos(folder, data):
    photo = read_or_refuse(kitti.read_image, folder / "photo.png", data)
    if photo is not None:
        assert photo.dtype == np.uint8
        assert photo.shape[2] == 3
        assert photo.size


SCAN = np.array([[10.5, -2, 0.3, 0.9], [40, 8, -1.6, 0.2]], "<f4").tobytes()


@examples(100)
@given(whatever(SCAN) | hnp.arrays(np.float32, (2, 4)).map(lambda values: values.tobytes()))
def test_scans(folder, data):
    points = read_or_refuse(kitti.read_velodyne, folder / "scan.bin", data)
    if points is not None:
        assert points.shape == (len(data) // 16, 4)
        assert (np.abs(points) < 1e4).all()


@examples(100)
@given(whatever(DRIVES))
@example(DRIVES + b"000000\t2011_09_26_drive_0002\n")
@example(DRIVES.replace(b"2011_09_26_drive_0002", b" "))
def test_drives_files(folder, data):
    drives = read_or_refuse(kitti.read_drives, folder / "drives.tsv", data)
    if drives is not None:
        rows = [line.split("\t") for line in data.decode("utf-8-sig").splitlines() if line.strip()][1:]
        assert [*drives.items()] == [(frame, drive) for frame, drive, *_ in rows]  # none is lost
        assert all(frame.strip() and drive.strip() for frame, drive in drives.items())


@examples(100)
@given(whatever(NOTE) | json_values().map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(NOTE.replace(b'"count": 0', b'"count": NaN'))
@example(NOTE.replace(b'"count": 0', b'"count": -3'))
def test_notes_of_streets(folder, data):
    root = folder / "streets"
    root.mkdir(exist_ok=True)
    note = root / "streets.json"
    note.write_bytes(data)
    _, refusal = attempt(streets.write_streets, root, 0, 1, 64, 128, 1, False)
    if refusal:
        assert str(root) in refusal
        assert note.read_bytes() == data
    else:
        kept = json.loads(note.read_text())
        assert isinstance(kept["count"], int)
        assert kept["count"] >= 0


@examples(100)
@given(
    whatever(CARD)
    | json_values().map(lambda value: json.dumps(value).encode())
    | json_values().map(lambda value: json.dumps({"drives_seen": value}).encode())
)
@example(b"[" * 100_000)
@example(b'{"drives_seen": null}')
@example(b'{"drives_seen": "abc"}')
def test_cards_of_weights(folder, data):
    drives = read_or_refuse(lambda path: train.drives_seen(path.with_suffix(".keras")), folder / "weights.json", data)
    assert drives is None or (isinstance(drives, list) and all(isinstance(each, str) for each in drives))
    if drives is None:  # refused: a card that is there is never taken for none
        with pytest.raises(ValueError, match="weights.json"):
            train.drives_seen(folder / "weights.keras")


LOG = b'{"epoch": 1, "seconds": 2.5, "loss": 3.1}\n{"epoch": 2, "seconds": 2.4, "loss": 2.9}\n'


@examples(100)
@given(whatever(LOG) | json_values().map(lambda value: json.dumps({"epoch": value, "seconds": value}).encode()))
@example(b'{"epoch": Infinity, "seconds": 1}')
@example(b'{"epoch": 1, "seconds": NaN}')
@example(b"[" * 100_000)
def test_logs_of_training(folder, data):
    (folder / "log.jsonl").write_bytes(data)
    lines = train.read_log(folder)
    assert list(lines) == sorted(lines)
    assert np.isfinite(sum(line["seconds"] for line in lines.values()))


RUN = {"stage": "main", "arm": "a", "regime": "both", "budget": "images", "seed": 1, "rate": 0.1, "steps": 2}
BOOK = f"{json.dumps({'settings': asdict(study_book.QUICK)})}\n{json.dumps(RUN)}\n".encode()


@examples(100)
@given(whatever(BOOK) | json_values().map(lambda value: json.dumps(value).encode()))
@example(b"")
@example(b"7\n8")
@example(b'{"settings": 3}')
@example(b'{"settings": {"width": 3, "what": 4}}')
@example(b"[" * 100_000)
def test_books_of_the_study(folder, data):
    book = read_or_refuse(study_book.read_lines, folder / "book.jsonl", data)
    if book is not None:
        assert isinstance(book[0], study_book.Settings)
        assert all(set(study_book.KEY) <= set(line) for line in book[1])


@pytest.mark.parametrize(
    "read",
    [
        kitti.read_labels,
        kitti.read_calibration,
        kitti.read_depth,
        kitti.read_image,
        kitti.read_velodyne,
        kitti.read_drives,
        model.RoiDepth.load,
    ],
)
def test_what_is_not_there_or_no_file_is_named(folder, read):
    with pytest.raises(FileNotFoundError, match="nothing"):
        read(folder / "nothing.txt")
    (folder / "a_folder.txt").mkdir(exist_ok=True)
    with pytest.raises((ValueError, FileNotFoundError), match="a_folder"):
        read(folder / "a_folder.txt")


# Planner -------------------------------------------------------------------------------------------------------------

SIZES = st.integers(1, 12)


def boxes_of(numbers=None):
    """(n, 4) boxes; inside, across, outside and thin ones; with `numbers`, anything at all."""
    if numbers is not None:
        return st.lists(st.tuples(*[numbers] * 4), max_size=5).map(lambda rows: np.array(rows).reshape(-1, 4))
    edge = st.floats(-40, 90) | st.integers(-10, 20).map(lambda cells: 4 * cells - 0.5)
    corner = st.tuples(edge, edge).map(sorted)
    box = st.tuples(corner, corner).map(lambda sides: (sides[0][0], sides[1][0], sides[0][1], sides[1][1]))
    return st.lists(box, max_size=8).map(lambda rows: np.array(rows, dtype=float).reshape(-1, 4))


def work(rows, columns):
    return 7 * (rows + 6.0) * (columns + 6) + 900


def check_plan(plan, boxes, rows, columns, allow_full=True):
    """Says of a plan what the planner promises."""
    assert len(plan.window_of) == len(plan.regions) == len(boxes)
    for top, left, bottom, right in plan.windows:
        assert 0 <= top < bottom <= rows
        assert 0 <= left < right <= columns
    touches = (np.maximum(boxes[:, 0], -0.5) < 4 * columns - 0.5) & (boxes[:, 2] > -0.5)
    touches &= (boxes[:, 1] < 4 * rows - 0.5) & (boxes[:, 3] > -0.5)
    for box, region, number, inside in zip(boxes, plan.regions, plan.window_of, touches, strict=True):
        if number < 0:
            assert not inside
            continue
        window = plan.windows[number]
        assert (window[:2] <= region[:2]).all()
        assert (region[:2] < region[2:]).all()
        assert (region[2:] <= window[2:]).all()
        # What of the box lies in the image lies in its region, and so in its window.
        cut = np.clip(box, -0.5, [4 * columns - 0.5, 4 * rows - 0.5] * 2)
        if inside:
            assert (4 * region[1::-1] - 0.5 <= cut[:2]).all()
            assert (cut[2:] <= 4 * region[3:1:-1] - 0.5).all()
    assert plan.work == sum(work(window[2] - window[0], window[3] - window[1]) for window in plan.windows)
    assert plan.full_work == work(rows, columns)
    if allow_full or plan.kind in ("bounding window", "nothing"):
        assert plan.work <= plan.full_work


@examples(200)
@given(boxes_of(), SIZES, SIZES, st.sampled_from([0, 0.1, 1.5]), st.booleans())
@example(np.array([[3.5, 3.5, 3.5, 3.5]]), 4, 4, 0, True)
@example(np.array([[3.5, 0, 3.5, 9]]), 4, 4, 0.1, True)
def test_plans_hold_every_box_and_never_cost_more_than_full_decoding(boxes, rows, columns, widen, allow_full):
    plan = roi.plan_windows(boxes, rows, columns, work, widen, allow_full)
    check_plan(plan, boxes, rows, columns, allow_full)


@examples(200)
@given(boxes_of(NUMBERS), SIZES, SIZES, st.sampled_from([roi.plan_windows, roi.full_frame]))
@example(np.array([[np.inf, 0, np.inf, 9]]), 4, 4, roi.plan_windows)
@example(np.array([[-1e308, 0, 1e308, 9]]), 4, 4, roi.plan_windows)
@example(np.array([[9.0, 0, 1, 9]]), 4, 4, roi.plan_windows)
def test_any_numbers_are_planned_or_refused(boxes, rows, columns, plan):
    made, refusal = attempt(plan, boxes, rows, columns, work)
    if refusal:
        assert "boxes" in refusal
        assert np.isnan(boxes).any() or (boxes[:, 2:] < boxes[:, :2]).any()
        return
    check_plan(made, boxes, rows, columns)
    windows = [np.zeros((4 * (w[2] - w[0]), 4 * (w[3] - w[1]), 1)) for w in made.windows]
    for patch, number in zip(roi.box_patches(boxes, made, windows), made.window_of, strict=True):
        assert (patch is None) == (number < 0)
        assert patch is None or patch.size


@pytest.mark.parametrize(
    ("argument", "value"), [("rows", 0), ("columns", -1), ("widen", -1.0), ("widen", np.nan), ("widen", np.inf)]
)
def test_the_planner_names_a_wrong_argument(argument, value):
    given_arguments = {"rows": 4, "columns": 4, "widen": 0.1, argument: value}
    for plan in (roi.plan_windows, roi.full_frame):
        with pytest.raises(ValueError, match=argument):
            plan([[1, 1, 9, 9]], work=work, **given_arguments)


ROWS, COLUMNS, CHANNELS = 6, 9, 4


@pytest.fixture(scope="module")
def full():
    """(head, features padded, full decoding) of whole numbers: every sum is exact in single precision."""
    keras.utils.set_random_seed(0)
    head = depth.build_depth_head(CHANNELS, channels=(4, 4))
    generator = np.random.default_rng(0)
    head.set_weights([generator.integers(-2, 3, each.shape).astype("float32") for each in head.get_weights()])
    head = keras.Model(head.input, head.get_layer("to_stride1").output)
    features = generator.integers(-3, 4, (1, ROWS, COLUMNS, CHANNELS)).astype("float32")
    padded = np.pad(features, [(0, 0), (depth.HALO,) * 2, (depth.HALO,) * 2, (0, 0)])
    return head, padded, keras.ops.convert_to_numpy(head(padded))[0]


@examples(30)
@given(boxes_of())
def test_what_is_decoded_for_a_box_is_what_full_decoding_gives(full, boxes):
    head, padded, everything = full
    plan = roi.plan_windows(boxes, ROWS, COLUMNS, lambda rows, columns: (rows + 6.0) * (columns + 6))
    decoded = [
        keras.ops.convert_to_numpy(head(roi.gather_window(padded, window, depth.HALO)))[0] for window in plan.windows
    ]
    whole = roi.full_frame(boxes, ROWS, COLUMNS, lambda rows, columns: rows * columns)
    wanted = roi.box_patches(boxes, whole, [everything])
    for patch, true in zip(roi.box_patches(boxes, plan, decoded), wanted, strict=True):
        if true is None:
            assert patch is None
        else:
            np.testing.assert_array_equal(patch, true)


def test_arrays_that_are_no_windows_of_the_plan_are_refused():
    plan = roi.plan_windows([[0, 0, 30, 30]], 8, 8, work)
    with pytest.raises(ValueError, match="decoded"):
        roi.box_patches([[0, 0, 30, 30]], plan, [np.zeros((4, 4, 3))])


@examples(200)
@given(
    st.lists(st.tuples(FINITE, st.integers(0, 1000)), min_size=1, max_size=12),
    st.lists(st.integers(0, 64).map(lambda number: number / 64), min_size=1, max_size=4),
    st.sampled_from([1.0, 2.0**1000, 2.0**-1000, 2.0**1014]),
)
def test_weighted_quantiles_are_those_of_fractions(rows, quantiles, scale):
    values, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    got = roi.weighted_quantile(values, weights * scale, np.array(quantiles))
    exact = [Fraction(int(weight)) for weight in weights] if weights.any() else [Fraction(1)] * len(rows)
    rows = sorted(zip(values.tolist(), exact, strict=True))
    for quantile, value in zip(quantiles, got, strict=True):
        reached = [sum(weight for other, weight in rows if other <= each) for each, _ in rows]
        wanted = Fraction(quantile) * sum(exact)
        assert value == next(each for (each, _), below in zip(rows, reached, strict=True) if below >= wanted)


@examples(150)
@given(st.lists(NUMBERS, max_size=6), st.lists(NUMBERS, max_size=6), NUMBERS)
@example([1.0, 2.0], [1.0, 1.0], float("nan"))
@example([1.0, 2.0], [1.0, 1.0], 1.5)
@example([1.0, 2.0, 3.0], [1e308, 1e308, 1e308], 0.5)
def test_any_numbers_have_a_quantile_or_are_refused(values, weights, quantile):
    got, refusal = attempt(roi.weighted_quantile, values, weights, quantile)
    if refusal:
        assert any(name in refusal for name in ("values", "weights", "quantile"))
        return
    assert got in values
    assert 0 <= quantile <= 1


# Decoder -------------------------------------------------------------------------------------------------------------


def maps(numbers):
    """The head's three maps, (1, 5, 6, channels), of these numbers: most of them 0, as hypothesis fills arrays."""
    channels = {"heatmap": 3, "box": 4, "object": len(detection.OBJECT_FIELDS)}
    return st.fixed_dictionaries(
        {
            name: hnp.arrays(np.float32, (1, 5, 6, count), elements=numbers, fill=st.just(np.float32(0)))
            for name, count in channels.items()
        }
    )


@examples(60)
@given(maps(st.floats(-(2.0**99), 2.0**99, width=32) | st.sampled_from([float("inf"), float("-inf")])))
def test_decoding_any_maps(outputs):
    found = detection.per_image(detection.decode(outputs))[0]
    assert found["scores"].shape == found["labels"].shape == (50,)
    assert (np.diff(found["scores"]) <= 0).all()
    assert ((found["scores"] >= 0) & (found["scores"] <= 1)).all()
    assert ((found["labels"] >= 0) & (found["labels"] < 3)).all()
    assert np.isfinite(found["boxes"]).all()
    assert (found["boxes"][:, 2:] > found["boxes"][:, :2]).all()
    kept, refusal = attempt(model.within_photo, found, 20, 24)
    if refusal:
        assert "found" in refusal
        assert not np.isfinite(found["properties"]).all()
        return
    assert (kept["scores"] >= model.WEAKEST).all()
    left, top, right, bottom = kept["boxes"].T
    assert ((left >= -0.5) & (top >= -0.5) & (right <= 23.5) & (bottom <= 19.5)).all()
    assert ((right - left >= 1) & (bottom - top >= 1)).all()
    once = detection.distinct(metrics.box_iou(kept["boxes"], kept["boxes"]), kept["scores"])
    overlap = metrics.box_iou(kept["boxes"][once], kept["boxes"][once])
    assert (overlap[~np.eye(len(overlap), dtype=bool)] < 0.7).all()


@examples(40)
@given(st.sampled_from(["scores", "boxes", "properties"]), st.integers(0, 2), st.sampled_from([np.nan, np.inf]))
def test_candidates_that_are_no_numbers_are_refused(name, place, value):
    found = {"scores": np.full(3, 0.5), "boxes": np.tile([2.0, 2, 9, 9], (3, 1)), "properties": np.zeros((3, 8))}
    found[name][place] = value
    with pytest.raises(ValueError, match=f"found: its {name} hold NaN or infinity"):
        model.within_photo(found, 20, 24)


@examples(10)
@given(st.data(), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_network_that_diverged_is_refused(data, value):
    """It would find nothing, as if there were nothing to find."""
    import tiny

    network = tiny.toy_network()
    weights = network.get_weights()
    chosen = weights[data.draw(st.integers(0, len(weights) - 1))]
    chosen.flat[data.draw(st.integers(0, chosen.size - 1))] = value
    network.set_weights(weights)
    with pytest.raises(ValueError, match="its weights hold NaN or infinity"):
        model.RoiDepth(network)


@examples(100)
@given(st.integers(0, 6), st.integers(0, 6), st.data())
@example(2, 2, None)
def test_distinct_takes_any_numbers_or_names_the_argument(count, others, data):
    if data is None:
        overlap, scores = np.array([[1.0, np.nan], [np.nan, 1]]), np.array([0.5, 0.4])
    else:
        overlap = data.draw(hnp.arrays(np.float64, (count, others), elements=st.floats(0, 1) | NUMBERS))
        scores = data.draw(hnp.arrays(np.float64, (count,), elements=st.floats(0, 1) | NUMBERS))
    kept, refusal = attempt(detection.distinct, overlap, scores)
    if refusal:
        assert "overlap" in refusal
        assert np.isnan(overlap).any() or np.isnan(scores).any() or count != others
        return
    assert kept.shape == (count,)
    assert kept.any() == bool(count)


# Photos and cameras --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def roi_depth():
    import tiny

    return model.RoiDepth(tiny.toy_network())


@examples(60)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(1e-310, 1e300) | st.floats(1, 100),
    st.booleans(),
)
@example(32, 32, 1e-310, True)
@example(32, 32, 1e-3, True)
@example(1, 40, 1e3, True)
def test_photos_of_any_size_and_camera_are_prepared_or_refused(roi_depth, height, width, focal_length, rescale):
    image = np.zeros((height, width, 3), np.uint8)
    pinhole, refusal = attempt(camera.Camera.from_focal_length, focal_length, height, width)
    prepared, refusal = (None, refusal) if refusal else attempt(roi_depth.prepare, image, pinhole, rescale)
    if refusal:
        assert "focal length" in refusal
        scale = model.CANONICAL_FOCAL_LENGTH / focal_length
        assert height * width * scale * scale > 0.9 * model.LARGEST_PHOTO or focal_length > 1e9
        return
    photo, seen, inner = prepared
    assert photo.shape[0] % 32 == photo.shape[1] % 32 == 0
    assert (seen.height, seen.width) == photo.shape[:2]
    assert inner[0] <= photo.shape[0]
    assert inner[1] <= photo.shape[1]
    assert np.isfinite(seen.vector).all()
    if rescale:
        assert photo.size <= 3 * (model.LARGEST_PHOTO + 32 * 32 * max(photo.shape[:2]))
