"""Exports: buckets that change no number, the same objects in every runtime, and a clear word for every fault."""

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from roidepth_lessons import (
    DATA_FOLDER,
    benchmark,
    depth,
    detection,
    evaluate,
    export,
    kitti,
    model,
    predict,
    roi,
    streets,
)
from roidepth_lessons.__main__ import main
from roidepth_lessons.camera import Camera

HEIGHT, WIDTH = 64, 128
LOW = 0.04
"""With it, the network that has learnt nothing finds objects everywhere."""


def needs(kind):
    missing = [name for name in export.WRITES_WITH[kind] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: {export.INSTALL}")


# Buckets: no package is needed ---------------------------------------------------------------------------------------


def work(rows, columns):
    return (rows + 6) * (columns + 6)


SIZES = [(2, 3), (3, 9), (6, 4), (8, 5)]
ROWS, COLUMNS = 8, 13


def all_windows():
    rows, columns = (list(itertools.combinations(range(count + 1), 2)) for count in (ROWS, COLUMNS))
    return [(top, left, bottom, right) for top, bottom in rows for left, right in columns]


def test_every_window_gets_the_cheapest_bucket_that_holds_it_inside_the_frame():
    buckets = export.Buckets(SIZES, ROWS, COLUMNS, work)
    assert set(buckets.sizes) == {*SIZES, (ROWS, COLUMNS)}
    used = set()
    for window in all_windows():
        top, left, bottom, right = window
        large = buckets.enlarge(window)
        size = large[2] - large[0], large[3] - large[1]
        assert 0 <= large[0] <= top < bottom <= large[2] <= ROWS
        assert 0 <= large[1] <= left < right <= large[3] <= COLUMNS
        fitting = [each for each in [*SIZES, (ROWS, COLUMNS)] if each[0] >= bottom - top and each[1] >= right - left]
        assert work(*size) == min(work(*each) for each in fitting) == buckets(bottom - top, right - left)
        used.add(size)
    assert used == set(buckets.sizes)


def test_buckets_count_arrays_as_numbers():
    buckets = export.Buckets(SIZES, ROWS, COLUMNS, work)
    rows, columns = np.array([[1, 3], [8, 7]]), np.array([[1, 9], [13, 2]])
    one_by_one = [buckets(*pair) for pair in zip(rows.ravel(), columns.ravel(), strict=True)]
    np.testing.assert_array_equal(buckets(rows, columns).ravel(), one_by_one)


@pytest.mark.parametrize("window", [(0, 0, 0, 3), (-1, 0, 2, 3), (0, 0, 9, 3), (0, 11, 2, 14), (4, 4, 2, 6)])
def test_windows_outside_the_frame_are_refused(window):
    with pytest.raises(ValueError, match="does not lie inside the 8x13 cells"):
        export.Buckets(SIZES, ROWS, COLUMNS, work).enlarge(window)


def test_plans_with_buckets_never_cost_more_than_the_full_frame():
    generator, buckets = np.random.default_rng(4), export.Buckets([(4, 8), (10, 20)], 32, 104, work)
    for _ in range(60):
        corner = generator.uniform([-20, -20], [400, 120], (generator.integers(0, 12), 2))
        boxes = np.concatenate([corner, corner + generator.uniform(4, 90, corner.shape)], axis=1)
        plan = roi.plan_windows(boxes, 32, 104, buckets)
        sizes = [np.subtract(large[2:], large[:2]) for large in map(buckets.enlarge, plan.windows)]
        assert plan.work == sum(work(*size) for size in sizes) <= plan.full_work == work(32, 104)
    one = roi.plan_windows([[40, 40, 50, 50]], 32, 104, buckets)
    assert (one.kind, one.share) == ("windows", work(4, 8) / work(32, 104))
    corner = np.array(list(itertools.product(range(20, 416, 52), range(10, 128, 32))))
    many = roi.plan_windows(np.concatenate([corner, corner + 12], axis=1), 32, 104, buckets)
    assert len(corner) * work(4, 8) > many.full_work  # what enlarging afterwards would cost
    assert (many.kind, many.share) == ("full frame", 1)


def test_default_windows_fit_into_any_frame():
    for rows, columns in [(8, 8), (32, 104), (48, 160), (96, 312)]:
        sizes = export.default_windows(rows, columns)
        buckets = export.Buckets(sizes, rows, columns, work)
        assert buckets.sizes[-1] == (rows, columns)
    assert export.default_windows(32, 104) == sorted(export.BUCKET_SHARES)
    assert export.default_windows(64, 208) == sorted((2 * high, 2 * wide) for high, wide in export.BUCKET_SHARES)


def test_sizes_of_windows_as_text():
    assert export.parse_windows("6x8, 12x28") == [(6, 8), (12, 28)]
    for wrong in ("", "6", "6x", "6x8x9", "0x4", "axb", "-2x4", "6x8,"):
        with pytest.raises(ValueError, match="rows x columns in cells"):
            export.parse_windows(wrong)


# The loader, with Keras in the place of a runtime --------------------------------------------------------------------


def stand_in(wanted, sizes, height=HEIGHT, width=WIDTH, head=None):
    """An `Exported` whose graphs are the networks themselves."""
    head = head or wanted.depth_head

    def detector(image, vector):
        found = wanted.detector.predict_on_batch({"image": image, "camera": vector})
        return [np.asarray(found[name]) for name in export.OUTPUTS]

    def checked(size):
        def run(features):
            assert features.shape[1:3] == tuple(side + 2 * depth.HALO for side in size)
            return [keras.ops.convert_to_numpy(head(features))]

        return run

    card = {
        "height": height,
        "width": width,
        "photo_focal_length": wanted.photo_focal_length,
        "head_layers": json.loads(json.dumps(wanted.head_work.layers)),
    }
    every = {*sizes, (height // 4, width // 4)}
    return export.Exported(card, detector, {size: checked(size) for size in every}, wanted.threshold)


@pytest.fixture(scope="module")
def tiny_model(tiny_weights):
    return model.RoiDepth.load(tiny_weights)


@pytest.fixture(scope="module")
def street():
    return streets.draw_street([7, 3], HEIGHT, WIDTH)


def test_buckets_change_no_number_to_the_last_bit(tiny_model):
    """Integer weights and features: every sum is exact. The head without its last layer, whose sigmoid rounds."""
    head = depth.build_depth_head(feature_channels=16, channels=(6, 4))
    generator = np.random.default_rng(0)
    head.set_weights([generator.integers(-2, 3, size=value.shape).astype("float32") for value in head.get_weights()])
    head = keras.Model(head.input, head.get_layer("to_stride1").output)
    features = generator.integers(-3, 4, size=(1, 16 + 6, 32 + 6, 16)).astype("float32")
    full = keras.ops.convert_to_numpy(head(features))[0]
    assert np.abs(full).max() < 2**24
    assert np.unique(full).size > 100
    exported = stand_in(tiny_model, [(2, 3), (6, 9), (9, 5)], head=head)
    low = generator.integers(0, [14, 30], size=(25, 2))
    high = low + generator.integers(1, [[16, 32]] - low + 1)
    corners = [(0, 0, 1, 1), (15, 31, 16, 32), (0, 31, 1, 32), (15, 0, 16, 1), (0, 0, 16, 32), (14, 29, 16, 32)]
    windows = np.concatenate([np.concatenate([low, high], axis=1), corners])
    plan = roi.Plan("windows", windows, np.zeros(0), np.zeros((0, 4)), 1.0, 1.0)
    for (top, left, bottom, right), decoded in zip(4 * windows, exported.decode(features, plan), strict=True):
        assert decoded.shape[:2] == (bottom - top, right - left)
        assert (decoded != full[top:bottom, left:right]).sum() == 0


def assert_same(got, wanted, relative=1e-4):
    assert len(wanted.objects) >= 2
    assert [each.name for each in got.objects] == [each.name for each in wanted.objects]
    for each, other in zip(got.objects, wanted.objects, strict=True):
        np.testing.assert_allclose(each.box, other.box, atol=1e-2)
        for name in ("score", "distance_m", "surface_distance_m", "instance_distance_m", "distance_spread_m"):
            assert getattr(each, name) == pytest.approx(getattr(other, name), rel=relative), name
        np.testing.assert_allclose(each.dimensions_m, other.dimensions_m, rtol=relative)
    both = (got.depth > 0) & (wanted.depth > 0)
    assert both.any()
    np.testing.assert_allclose(got.depth[both], wanted.depth[both], rtol=relative)


@pytest.mark.parametrize("mode", model.MODES)
def test_the_loader_gives_the_objects_of_keras(tiny_model, street, mode):
    exported = stand_in(tiny_model, [(3, 4), (8, 10), (12, 20)])
    got = exported.predict(street.image, street.camera, mode, threshold=LOW, rescale=False)
    assert_same(got, tiny_model.predict(street.image, street.camera, mode, threshold=LOW, rescale=False))
    assert (got.head_work == 1) if mode == "full" else (0 < got.head_work <= 1)


def test_photos_are_scaled_as_for_the_network(tiny_model):
    """A photo of twice the focal length, half as large in the network's eyes."""
    camera = Camera.from_focal_length(480, 128, 256)
    image = np.random.default_rng(0).integers(0, 256, (128, 256, 3), dtype=np.uint8)
    exported = stand_in(tiny_model, [(8, 10)])
    got = exported.predict(image, camera, threshold=LOW)
    assert got.network_size == (64, 128)
    assert_same(got, tiny_model.predict(image, camera, threshold=LOW))


def test_a_photo_of_another_size_is_refused(tiny_model, street):
    exported = stand_in(tiny_model, [(8, 10)], height=64, width=96)
    with pytest.raises(ValueError, match="64x128 pixels, the export is for 64x96; .*--height 64 --width 128"):
        exported.predict(street.image, street.camera, rescale=False)


# In the place of a weights file --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tiny_model, tmp_path, monkeypatch):
    """A folder that `load` takes for an export of the size to which the tiny streets are scaled."""
    exported = stand_in(tiny_model, [(8, 10), (30, 40)], height=224, width=416)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / export.CARD).write_text("card")
    monkeypatch.setattr(export, "load", lambda path: exported if path == str(tmp_path / "out") else None)
    return tmp_path / "out", exported


def test_evaluate_takes_an_export(folder, tiny_model, tiny_streets, tmp_path, monkeypatch):
    path, exported = folder
    for each in (exported, tiny_model):
        monkeypatch.setattr(each, "threshold", LOW)
    ids = tmp_path / "ids.txt"
    ids.write_text("000001 000004")
    out = tmp_path / "out.json"
    assert main(["evaluate", str(tiny_streets), "--weights", str(path), "--ids", str(ids), "--json", str(out)]) == 0
    got, wanted = json.loads(out.read_text()), evaluate.evaluate(tiny_model, tiny_streets, ids.read_text().split())
    for name, each in wanted["detection"].items():
        assert got["detection"][name]["ap50"] == pytest.approx(each["ap50"], rel=1e-6)
    assert got["depth"]["image"] == pytest.approx(wanted["depth"]["image"], rel=1e-4)
    assert got["depth"]["image"]["count"] > 0
    assert got["head_work"]["mean"] > 0


def test_an_export_is_not_measured_on_drives_that_its_weights_have_seen(folder, tiny_streets, tmp_path, capsys):
    root = shutil.copytree(tiny_streets, tmp_path / "root")
    ids = kitti.frame_ids(root)
    rows = "".join(f"{frame_id}\tdrive_{number % 2}\t0\n" for number, frame_id in enumerate(ids))
    (root / "drives.tsv").write_text("frame_id\traw_drive\traw_frame\n" + rows)
    path, exported = folder
    exported.card["drives_seen"] = ["drive_1"]
    assert main(["evaluate", str(root), "--weights", str(path)]) == 2
    assert "drive_1" in capsys.readouterr().err
    (tmp_path / "ids.txt").write_text(ids[0])
    assert main(["evaluate", str(root), "--weights", str(path), "--ids", str(tmp_path / "ids.txt")]) == 0
    del exported.card["drives_seen"]
    assert main(["evaluate", str(root), "--weights", str(path), "--ids", str(tmp_path / "ids.txt")]) == 0
    assert "nobody can say which drives it has seen" in capsys.readouterr().out


def test_predict_takes_an_export_and_knows_it_again(folder, tiny_streets, tmp_path):
    path, _ = folder
    photo = tiny_streets / "training" / "image_2" / "000000.png"
    figures = tmp_path / "figures"
    arguments = ["predict", str(photo), "--weights", str(path), "--threshold", str(LOW)]
    assert main([*arguments, "--json", str(tmp_path / "out.json"), "--figure", f"{figures}/"]) == 0
    assert json.loads((tmp_path / "out.json").read_text())[0]["objects"]
    before = predict.fingerprint(path)
    (path / export.CARD).write_text("another card")
    assert predict.fingerprint(path) != before


def test_the_frame_or_photo_of_another_size_is_named(folder, tiny_streets, capsys):
    path, exported = folder
    exported.size = 64, 128
    photo = tiny_streets / "training" / "image_2" / "000000.png"
    for arguments, name in ((["evaluate", str(tiny_streets)], "frame 000000"), (["predict", str(photo)], str(photo))):
        assert main([*arguments, "--weights", str(path)]) == 2
        said = capsys.readouterr().err
        assert f"{name}: image: made ready for the network it has 224x416 pixels, the export is for 64x128" in said


# The real runtimes ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tiny_model, tmp_path_factory):
    """Makes each export once."""
    made, root = {}, tmp_path_factory.mktemp("exports")

    def get(kind, precision="float"):
        needs(kind)
        out = root / f"{kind}_{precision}"
        if out not in made:
            made[out] = export.write_export(tiny_model, out, kind, HEIGHT, WIDTH, precision, [(8, 12)])
        return out

    return get


@pytest.mark.parametrize("kind", export.FORMATS)
def test_a_float_export_gives_the_objects_of_keras(folders, tiny_model, street, kind, capfd):
    exported = export.load(folders(kind))
    got = exported.predict(street.image, street.camera, threshold=LOW, rescale=False)
    assert_same(got, tiny_model.predict(street.image, street.camera, threshold=LOW, rescale=False))
    photo, camera, _ = tiny_model.prepare(street.image, street.camera, rescale=False)
    (_, wanted), (_, features) = tiny_model.detect(photo, camera), exported.detect(photo, camera)
    np.testing.assert_allclose(features, wanted, atol=1e-4 * np.abs(wanted).max())
    assert max(exported.card["difference"].values()) < export.LARGEST_DIFFERENCE
    assert exported.card["windows"] == [[8, 12], [16, 32]]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_an_8_bit_export_is_near_and_says_how_near(folders, tiny_model, street, kind):
    exported = export.load(folders(kind, "int8"))
    photo, camera, _ = tiny_model.prepare(street.image, street.camera, rescale=False)
    (_, wanted), (_, features) = tiny_model.detect(photo, camera), exported.detect(photo, camera)
    far = np.abs(features - wanted).max() / np.abs(wanted).max()
    assert export.LARGEST_DIFFERENCE < far < 0.1
    assert 0 < exported.card["difference"]["features"] < 0.1
    assert exported.predict(street.image, street.camera, threshold=LOW, rescale=False).objects


def test_a_folder_has_all_that_its_card_says_and_nothing_else(folders, tmp_path):
    folder = folders("onnx")
    card = json.loads((folder / export.CARD).read_text())
    assert {path.name for path in folder.iterdir()} == {*card["files"], export.CARD}
    assert set(card["files"]) == {"detection.onnx", "window_8x12.onnx", "window_16x32.onnx"}
    assert card["canonical_focal_length"] == model.CANONICAL_FOCAL_LENGTH
    assert not list(folder.parent.glob(".*"))


@pytest.mark.skipif("ROIDEPTH_KITTI" not in os.environ, reason="real frames are not here")
def test_real_frames_with_the_shipped_weights(tmp_path):
    needs("onnx")
    root = Path(os.environ["ROIDEPTH_KITTI"])
    shipped = model.RoiDepth.load(DATA_FOLDER / "weights" / "streets.keras")
    export.write_export(shipped, tmp_path / "out", "onnx", windows=[(12, 28)])
    exported = export.load(tmp_path / "out")
    several = 0
    for frame_id in kitti.frame_ids(root)[::25]:
        frame = kitti.read_frame(root, frame_id)
        got, wanted = (each.predict(frame.image, frame.camera) for each in (exported, shipped))
        if len(wanted.objects) >= 2:
            several += 1
            assert_same(got, wanted)
    assert several


# Faults --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(capsys):
    def run_command(*arguments):
        capsys.readouterr()
        code = main(["export", *(str(each) for each in arguments)])
        said = capsys.readouterr()
        assert said.err.count("\n") == (1 if code else 0), said.err
        return code, said.err

    return run_command


def test_the_command_says_what_is_wrong(run, tmp_path, tiny_weights):
    out = tmp_path / "out"
    weights = "--weights", tiny_weights
    cases = [
        (("--format", "coreml", *weights), "format must be one of onnx, litert, openvino, got 'coreml'"),
        (("--format", "onnx", "--precision", "int4", *weights), "precision must be one of float, int8, got 'int4'"),
        (("--format", "onnx", "--height", "100", *weights), "multiples of 32, got 100x416"),
        (("--format", "onnx", "--windows", "8by9", *weights), "rows x columns in cells"),
        (("--format", "onnx", "--windows", "8x12,40x8", *weights), "40x8 cells don't fit into the 32x104 cells"),
    ]
    for arguments, complaint in cases:
        code, said = run(out, *arguments)
        assert code == 2
        assert complaint in said
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep me")
    for taken in (tmp_path / "full", tmp_path / "full" / "mine.txt"):
        code, said = run(taken, "--format", "onnx", *weights)
        assert code == 2
        assert f"{taken}: there is something already" in said
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "mine.txt"]


def test_missing_packages_are_named(run, tmp_path, tiny_weights, monkeypatch):
    find = importlib.util.find_spec
    absent = {"ai_edge_litert", "onnxruntime", "openvino"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in absent else find(name, *more))
    for kind, package in (("litert", "ai-edge-litert"), ("onnx", "onnxruntime"), ("openvino", "openvino")):
        code, said = run(tmp_path / "out", "--format", kind, "--weights", tiny_weights)
        assert code == 2
        assert package in said
        assert export.INSTALL in said
        (tmp_path / kind).mkdir()
        write_card(tmp_path / kind, kind)
        with pytest.raises(RuntimeError, match=f"running {kind} needs {package}, not installed: .*export"):
            export.load(tmp_path / kind)
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_there_or_damaged(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_need", lambda *_: None)
    code, said = run(tmp_path / "out", "--format", "onnx", "--weights", tmp_path / "no.keras")
    assert code == 2
    assert f"{tmp_path / 'no.keras'}: no such weights file" in said
    (tmp_path / "bad.keras").write_bytes(b"nothing")
    code, said = run(tmp_path / "out", "--format", "onnx", "--weights", tmp_path / "bad.keras")
    assert code == 2
    assert "bad.keras: not a weights file of this course, or damaged" in said
    assert not (tmp_path / "out").exists()


def write_card(folder, kind="onnx", **changes):
    suffix = export.FORMATS[kind]
    files = {f"{name}{suffix}": b"graph" for name in ("detection", "window_2x3", "window_16x32")}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    card = {
        "format": kind, "precision": "float", "height": 64, "width": 128, "windows": [[2, 3], [16, 32]],
        "threshold": 0.4, "canonical_focal_length": 240.0, "photo_focal_length": 240.0,
        "head_layers": [[1, 2, 9]], "files": {name: export._digest(folder / name) for name in files},
    }  # fmt: skip
    (folder / export.CARD).write_text(json.dumps({**card, **changes}))


def test_a_folder_that_is_no_export(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"export.json: no such file; .*export OUT"):
        export.load(tmp_path)
    for text in (b"", b"{}", b"[]", b"\xff", b'{"format": "onnx"}', b'{"format": "x", "windows": []}', b"null"):
        (tmp_path / export.CARD).write_bytes(text)
        with pytest.raises(ValueError, match=r"export.json: not the description of an export, or damaged"):
            export.load(tmp_path)
    wrong = [
        {"files": {}},
        {"files": {"../detection.onnx": "0"}},
        {"windows": [[2]]},
        {"windows": [["2", 3]]},
        {"height": None},
        {"threshold": float("nan")},
        {"head_layers": 3},
        {"drives_seen": "2011_09_26_drive_0009_sync"},
        {"drives_seen": [9]},
        {"precision": "int4"},
    ]
    for changes in wrong:
        write_card(tmp_path, **changes)
        with pytest.raises(ValueError, match=r"export.json: not the description of an export, or damaged"):
            export.load(tmp_path)
    for threads in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match=r"threads must be a whole number of at least 1"):
            export.load(tmp_path, threads)
    write_card(tmp_path, canonical_focal_length=480.0)
    with pytest.raises(ValueError, match="canonical focal length of 480.0 pixels; .* distances would be wrong"):
        export.load(tmp_path)


def test_files_that_are_missing_or_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_need", lambda *_: None)
    write_card(tmp_path)
    (tmp_path / "window_2x3.onnx").write_bytes(b"grapf")
    with pytest.raises(ValueError, match=r"window_2x3.onnx: damaged"):
        export.load(tmp_path)
    (tmp_path / "window_2x3.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"window_2x3.onnx: this file of the export is missing"):
        export.load(tmp_path)


@pytest.mark.parametrize("kind", export.FORMATS)
def test_a_file_that_the_runtime_cannot_read(tmp_path, kind, capfd):
    needs(kind)
    write_card(tmp_path, kind)
    with pytest.raises(RuntimeError, match="can't be run"):
        export.load(tmp_path)
    assert capfd.readouterr().err == ""


def test_the_drives_that_the_weights_have_seen_go_along(tmp_path, tiny_weights, monkeypatch):
    weights = shutil.copy(tiny_weights, tmp_path / "mine.keras")
    monkeypatch.setattr(export, "_need", lambda *_: None)
    monkeypatch.setattr(export, "_version", lambda *_: "0")
    monkeypatch.setattr(export, "_compare", lambda *_: {"depth": 0.0})
    monkeypatch.setattr(export, "load", lambda *_: None)
    monkeypatch.setattr(export, "_write_onnx", lambda model, folder, card: (folder / "detection.onnx").write_text(""))
    assert export.write_export(weights, tmp_path / "unknown", "onnx", HEIGHT, WIDTH)["drives_seen"] is None
    weights.with_suffix(".json").write_text('{"drives_seen": ["drive_0009", "drive_0005"]}')
    card = export.write_export(weights, tmp_path / "known", "onnx", HEIGHT, WIDTH)
    assert card["drives_seen"] == ["drive_0009", "drive_0005"]
    assert json.loads((tmp_path / "known" / export.CARD).read_text()) == card


def test_an_export_that_differs_from_keras_is_not_written(tiny_model, tmp_path, monkeypatch):
    needs("onnx")
    opened = export._open_onnx

    def wrong(*arguments):
        run = opened(*arguments)
        return lambda *arrays: [each * 1.001 for each in run(*arrays)]

    monkeypatch.setattr(export, "_open_onnx", wrong)
    with pytest.raises(RuntimeError, match="does not give the numbers of Keras"):
        export.write_export(tiny_model, tmp_path / "out", "onnx", HEIGHT, WIDTH, windows=[(8, 12)])
    assert not list(tmp_path.iterdir())


def test_a_failure_of_a_converter_leaves_nothing_and_is_one_line(run, tmp_path, tiny_weights, monkeypatch):
    def fail(*_):
        print("chatter", file=sys.stderr)
        os.write(2, b"more chatter\n")
        raise KeyError("some operation")

    monkeypatch.setattr(export, "_need", lambda *_: None)
    monkeypatch.setattr(export, "_version", lambda *_: "0")
    monkeypatch.setattr(export, "_write_onnx", fail)
    arguments = "--format", "onnx", "--weights", tiny_weights, "--height", HEIGHT, "--width", WIDTH
    code, said = run(tmp_path / "out", *arguments)
    assert code == 2
    assert "onnx can't take these networks: KeyError: 'some operation'" in said
    assert not list(tmp_path.iterdir())


def test_the_loader_runs_without_tensorflow(folders, street, tmp_path):
    """Keras on OpenVINO: whatever of Keras the package imports, none of it runs."""
    needs("openvino")
    shutil.copytree(folders("onnx"), tmp_path / "copy")
    np.save(tmp_path / "image.npy", street.image)
    program = f"""
import sys
sys.modules["tensorflow"] = None  # as if it were not installed
import numpy as np
from roidepth_lessons import export
found = export.load(sys.argv[1]).predict(np.load(sys.argv[2]), threshold={LOW}, rescale=False)
print(len(found.objects), "keras.src.backend.tensorflow" in sys.modules)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "copy"), str(tmp_path / "image.npy")]
    environment = {**os.environ, "KERAS_BACKEND": "openvino"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    count, tensorflow = done.stdout.split()
    assert int(count) >= 1
    assert tensorflow == "False"


# The clock -----------------------------------------------------------------------------------------------------------


class Clocked:
    """Takes known times: detection `first`, decoding `second` seconds; twice as long in every round."""

    def __init__(self, clock, first, second):
        self.clock, self.first, self.second = clock, first, second

    def find(self, photo, camera):
        self.clock[0] += self.first
        return None, np.zeros((1, 22, 38, 4))

    def plan(self, boxes, padded_size, mode):
        assert padded_size == (22, 38)
        return roi.plan_windows(boxes, 16, 32, work)

    def decode(self, features, plan):
        self.clock[0] += self.second


def test_runtimes_are_compared_frame_by_frame(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])
    models = {"keras": Clocked(clock, 4.0, 4.0), "other": Clocked(clock, 1.0, 5.0)}
    figures = benchmark.compare_runtimes(models, HEIGHT, WIDTH, frames=2, rounds=3)
    first, second = figures["runtimes"].values()
    assert first["detect"] == {"ms": 4000, "ms_range": [4000, 4000], "ratio": 1, "ratio_range": [1, 1]}
    assert first["roi"]["ms"] == pytest.approx(8000)
    assert second["detect"]["ratio"] == pytest.approx(0.25)
    assert second["roi"]["ratio"] == pytest.approx(6 / 8)
    assert 0 < second["head_work"] <= 1
    assert (figures["height"], figures["width"], figures["frames"], figures["rounds"]) == (HEIGHT, WIDTH, 2, 3)


def test_runtimes_of_another_size_are_refused(tiny_model):
    models = {"keras": tiny_model, "onnx float": stand_in(tiny_model, [(8, 10)])}
    with pytest.raises(ValueError, match="onnx float: the export is for 64x128 pixels, not for 128x416"):
        benchmark.compare_runtimes(models)


def test_two_exports_of_one_kind_are_refused(tiny_model, tiny_weights, monkeypatch, capsys):
    exported = stand_in(tiny_model, [(8, 10)])
    exported.card |= {"format": "onnx", "precision": "int8"}
    monkeypatch.setattr(export, "load", lambda *_: exported)
    arguments = ["benchmark", "--weights", str(tiny_weights), "--exported", "first", "--exported", "second"]
    assert main(arguments) == 2
    assert "second: there is another export of onnx int8 among these" in capsys.readouterr().err


def test_the_detector_names_what_it_gives(tiny_model):
    assert set(export.OUTPUTS) == set(tiny_model.detector.output)
    assert tiny_model.detector.output["properties"].shape[-1] == len(detection.OBJECT_FIELDS)
