import io
import os
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roidepth_lessons import CLASSES, kitti
from roidepth_lessons.camera import Calibration, Camera
from roidepth_lessons.frames import Frame, RoadObject

KITTI = os.environ.get("ROIDEPTH_KITTI")
needs_kitti = pytest.mark.skipif(not KITTI, reason="ROIDEPTH_KITTI is not set")

CAR = "Car 0.00 1 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57"
DONT_CARE = "DontCare -1 -1 -10 402.27 166.69 477.31 197.98 -1 -1 -1 -1000 -1000 -1000 -10"
CALIBRATION = """P0: 1 2 3
P2: 7.0e+02 0 6.0e+02 4.5e+01 0 7.0e+02 1.8e+02 -3.0e-01 0 0 1 5.0e-03
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 -0.02 0 0 -1 -0.06 1 0 0 -0.33

"""


def make_frame(name="000007", height=20, width=30, seed=0):
    random = np.random.default_rng(seed)
    objects = (
        RoadObject("Car", (1.25, 2.5, 12.75, 9.0), 0.0, 0, 0.5, (1.5, 1.75, 4.0), (1.0, 1.5, 12.0), 0.25),
        RoadObject("DontCare", (3.0, 4.0, 5.0, 6.0)),
        RoadObject("Pedestrian", (15.0, 3.0, 17.5, 11.0), 0.5, 2, -1.25, (1.75, 0.5, 0.75), (-2.0, 1.5, 7.0), -3.0),
    )
    instances = np.zeros((height, width), np.uint8)
    instances[3:9, 2:12], instances[4:11, 15:17] = 1, 3
    projection = [[40, 0, 15, 3], [0, 40, 9, -0.25], [0, 0, 1, 0.004]]
    return Frame(
        name,
        random.integers(0, 256, (height, width, 3), dtype=np.uint8),
        Camera(projection, height, width),
        objects,
        random.uniform(0.01, 200, (height, width)).astype(np.float32) * (random.random((height, width)) < 0.7),
        instances,
        random.random((height, width)) < 0.5,
        random.uniform([-20, -3, 2], [20, 2, 80], size=(300, 3)).astype(np.float32),
        Calibration(projection, velodyne_to_camera=[[0, -1, 0, 0.1], [0, 0, -1, -0.2], [1, 0, 0, -0.3]]),
    )


@pytest.fixture
def root(tmp_path):
    """A small sound data set of three frames."""
    for i in range(3):
        kitti.write_frame(tmp_path, make_frame(f"{i:06d}", seed=i))
    return tmp_path


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


# -- whole frames


def test_write_and_read_a_frame(tmp_path):
    frame = make_frame()
    kitti.write_frame(tmp_path, frame)
    again = kitti.read_frame(tmp_path, "000007")
    assert again.name == "000007"
    for what in ("image", "instances", "road"):
        assert (getattr(again, what) == getattr(frame, what)).all()
        assert getattr(again, what).dtype == getattr(frame, what).dtype
    assert again.objects == frame.objects
    assert np.abs(again.depth - frame.depth).max() <= 1 / 512
    assert ((again.depth > 0) == (frame.depth > 0)).all()
    assert again.depth.dtype == again.points.dtype == np.float32
    assert np.abs(again.points - frame.points).max() < 1e-4
    assert np.abs(again.camera.projection - frame.camera.projection).max() < 1e-9
    assert np.abs(again.calibration.velodyne_to_camera - frame.calibration.velodyne_to_camera).max() < 1e-9


def test_files_have_kittis_own_formats(tmp_path):
    """Read with nothing of ours, as other programs that know KITTI would."""
    frame = make_frame()
    kitti.write_frame(tmp_path, frame)
    training = tmp_path / "training"
    with Image.open(training / "depth_2" / "000007.png") as image:
        assert image.mode == "I;16"
        assert (np.array(image) == np.rint(frame.depth * 256)).mean() > 0.999
    with Image.open(training / "road_2" / "000007.png") as image:
        assert image.mode == "1"
    with Image.open(training / "instance_2" / "000007.png") as image:
        assert image.mode == "L"
    scan = np.fromfile(training / "velodyne" / "000007.bin", "<f4").reshape(-1, 4)
    # LiDAR x is forward (camera z), y left (minus camera x), z up (minus camera y).
    x, y, z = frame.points.T
    assert np.abs(scan - np.stack([z + 0.3, 0.1 - x, -0.2 - y, 0 * x], axis=1)).max() < 1e-4
    first = (training / "label_2" / "000007.txt").read_text().splitlines()[0]
    assert first == "Car 0.00 0 0.50 1.25 2.50 12.75 9.00 1.50 1.75 4.00 1.00 1.50 12.00 0.25"


def test_a_bare_frame_needs_image_and_calibration_only(tmp_path):
    frame = make_frame()
    bare = Frame("a", frame.image, frame.camera)
    kitti.write_frame(tmp_path, bare, split="testing")
    assert sorted(path.name for path in (tmp_path / "testing").iterdir()) == ["calib", "image_2", "label_2"]
    (tmp_path / "testing/label_2/a.txt").unlink()
    again = kitti.read_frame(tmp_path, "a", split="testing")
    assert again.objects == ()
    assert again.depth is again.instances is again.road is again.points is None
    assert (again.image == frame.image).all()


@pytest.mark.parametrize("change", [lambda frame: frame.flipped(), lambda frame: frame.fitted(12, 30)])
def test_changed_frames_are_written_with_their_present_camera(tmp_path, change):
    frame = change(make_frame())
    kitti.write_frame(tmp_path, frame)
    again = kitti.read_frame(tmp_path, frame.name)
    assert np.abs(again.camera.projection - frame.camera.projection).max() < 1e-9
    assert np.abs(again.points - frame.points).max() < 1e-4


def test_a_frame_of_the_same_name_is_replaced_entirely(tmp_path):
    kitti.write_frame(tmp_path, make_frame())
    other = make_frame(seed=1)
    kitti.write_frame(tmp_path, replace(other, points=None, depth=None, instances=None, road=None))
    again = kitti.read_frame(tmp_path, "000007")
    assert (again.image == other.image).all()
    assert again.depth is again.instances is again.road is again.points is None


def test_the_label_file_is_written_last_and_never_beside_half_a_frame(tmp_path, monkeypatch):
    written = []
    replace_file = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (written.append(Path(new).parent.name), replace_file(old, new)))
    kitti.write_frame(tmp_path, make_frame())
    assert written[-1] == "label_2"
    assert sorted(written) == ["calib", "depth_2", "image_2", "instance_2", "label_2", "road_2", "velodyne"]

    # A second writing that fails on its way must not leave the label of the first.
    with pytest.raises(ValueError, match=r"000007\.png: depth must lie"):
        kitti.write_frame(tmp_path, replace(make_frame(), depth=np.full((20, 30), 300, np.float32)))
    assert not (tmp_path / "training/label_2/000007.txt").exists()
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", ".."])
def test_names_that_are_no_file_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="file name"):
        kitti.write_frame(tmp_path, make_frame(name))
    assert list(tmp_path.iterdir()) == []


def test_write_atomically_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "new" / "file.bin"
    kitti.write_atomically(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"half")
        file.flush()
        names = [each.name for each in path.parent.iterdir() if each != path]
        assert len(names) == 1
        assert names[0].startswith(".")
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kitti.write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_frame_ids(root):
    folder = root / "training" / "image_2"
    save(folder / "000010.jpg", make_frame().image)
    (folder / ".000011.png.tmp").write_bytes(b"")
    (folder / ".000012.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    assert kitti.frame_ids(root) == ["000000", "000001", "000002", "000010"]


def test_frame_ids_without_a_data_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="image_2 is no folder; expected ROOT/training/image_2"):
        kitti.frame_ids(tmp_path)
    (tmp_path / "training" / "image_2").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"holds no \.png or \.jpg image; expected ROOT"):
        kitti.frame_ids(tmp_path)


def test_image_and_calibration_must_be_there(root):
    with pytest.raises(FileNotFoundError, match=r"image_2/000099\.png is missing"):
        kitti.read_frame(root, "000099")
    (root / "training/calib/000001.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"calib/000001\.txt is missing"):
        kitti.read_frame(root, "000001")


def test_parts_that_do_not_fit_together_are_refused(root):
    save(root / "training/depth_2/000000.png", np.ones((20, 31), np.uint16))
    with pytest.raises(ValueError, match=r"training: frame 000000: depth has shape \(20, 31\)"):
        kitti.read_frame(root, "000000")
    save(root / "training/instance_2/000001.png", np.full((20, 30), 4, np.uint8))
    with pytest.raises(ValueError, match=r"instance_2/000001\.png speaks of object 4, but .*000001\.txt has 3 rows"):
        kitti.read_frame(root, "000001")


# -- labels


def test_labels_field_by_field(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(f"{CAR}\n\n{DONT_CARE} 0.25\n")
    car, region = kitti.read_labels(path)
    assert car == RoadObject(
        "Car", (387.63, 181.54, 423.81, 203.12), 0.0, 1, 1.85, (1.67, 1.87, 3.69), (-16.53, 2.39, 58.49), 1.57, None
    )
    assert region == RoadObject("DontCare", (402.27, 166.69, 477.31, 197.98), score=0.25)
    words = dict(zip(kitti.LABEL_FIELDS, CAR.split(), strict=True))
    numbers = {name: float(word) for name, word in words.items() if name != "class"}
    assert words["class"] == car.name
    assert (numbers["truncation"], numbers["occlusion"], numbers["alpha"]) == (car.truncation, car.occlusion, car.alpha)
    assert tuple(numbers[name] for name in ("left", "top", "right", "bottom")) == car.box
    assert tuple(numbers[name] for name in ("height", "width", "length")) == car.dimensions
    assert (numbers["x"], numbers["y"], numbers["z"], numbers["yaw"]) == (*car.location, car.yaw)


def test_labels_are_written_as_they_were_read(tmp_path):
    path = tmp_path / "x.txt"
    text = f"{CAR}\n{DONT_CARE}\n{CAR.replace('1.85', '-0.00')} 0.9876\n"
    path.write_text(text)
    kitti.write_labels(tmp_path / "y.txt", kitti.read_labels(path))
    assert (tmp_path / "y.txt").read_text() == text


def test_empty_label_file(tmp_path):
    kitti.write_labels(tmp_path / "x.txt", [])
    assert (tmp_path / "x.txt").read_bytes() == b""
    assert kitti.read_labels(tmp_path / "x.txt") == ()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (CAR.rsplit(" ", 1)[0], "expected 15 columns .16 with a score., got 14"),
        (CAR + " 0.5 1", "got 17"),
        ("Car", "got 1"),
        (CAR.replace("58.49", "far"), "not a number"),
        (CAR.replace("58.49", "nan"), "NaN"),
        (CAR.replace("58.49", "inf"), "infinity"),
        (CAR.replace("58.49", "1e30"), "beyond a million"),
        (CAR.replace("423.81", "387.62"), "right or bottom comes before"),
        (CAR.replace("203.12", "181.53"), "right or bottom comes before"),
        (CAR.replace("0.00 1", "0.00 1.5"), "occlusion must be a whole number"),
    ],
)
def test_damaged_label_rows_name_file_and_line(tmp_path, row, message):
    path = tmp_path / "000123.txt"
    path.write_text(f"{CAR}\n\n{row}\n")
    with pytest.raises(ValueError, match=rf"000123\.txt, line 3: .*{message}"):
        kitti.read_labels(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # Sixteen columns of which the last fourteen are numbers: it would be read as a Car with a score.
        ({"name": "Car 1"}, "one word"),
        ({"name": ""}, "one word"),
        ({"location": (0.0, float("nan"), 5.0)}, "NaN"),
        ({"box": (10.0, 0.0, 9.0, 5.0)}, "right or bottom"),
        ({"dimensions": (1.0, 2.0)}, "15 columns"),
    ],
)
def test_labels_that_could_not_be_read_again_are_not_written(tmp_path, change, message):
    objects = [make_frame().objects[0], replace(make_frame().objects[0], **change)]
    with pytest.raises(ValueError, match=rf"x\.txt, object 1: .*{message}"):
        kitti.write_labels(tmp_path / "x.txt", objects)
    assert list(tmp_path.iterdir()) == []


def test_labels_saved_by_a_windows_editor_are_read(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbf" + f"{CAR}\r\n{CAR}\r\n".encode())
    assert [each.name for each in kitti.read_labels(tmp_path / "x.txt")] == ["Car", "Car"]


# -- calibration


def test_calibration_keeps_twelve_digits(tmp_path):
    projection = np.array([[700, 0, 600, 45], [0, 700, 180, -0.3], [0, 0, 1, 0.005]]) / [[3], [7], [1]]
    kitti.write_calibration(tmp_path / "x.txt", Calibration(projection))
    assert np.allclose(kitti.read_calibration(tmp_path / "x.txt").projection, projection, rtol=1e-12, atol=0)


def test_calibration_line_by_line(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(CALIBRATION)
    calibration = kitti.read_calibration(path, with_lidar=True)
    assert calibration.projection.tolist() == [[700, 0, 600, 45], [0, 700, 180, -0.3], [0, 0, 1, 0.005]]
    assert calibration.rectification.tolist() == np.eye(3).tolist()
    assert calibration.velodyne_to_camera.tolist() == [[0, -1, 0, -0.02], [0, 0, -1, -0.06], [1, 0, 0, -0.33]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("P2:", "P9:"), "has no line 'P2'"),
        (("0 0 1 5.0e-03", "0 0 1"), "line P2: expected 12 numbers, got 11"),
        (("7.0e+02", "many"), "line P2: not a number"),
        (("7.0e+02", "nan"), "line P2: NaN"),
        (("7.0e+02", "-7.0e+02"), "line P2: focal lengths must be positive"),
        (("0 0 1 5.0e-03", "0 0 2 5.0e-03"), "line P2: the last row"),
        (("1 0 0 0 1 0 0 0 1", "1 0 0 0 1 0 0 0"), "line R0_rect: expected 9 numbers, got 8"),
        (("1 0 0 0 1 0 0 0 1", "1 0 0 0 1 0 0 0 0"), "line R0_rect: .* no rotation"),
        (("-1 -0.06 1", "-1 -0.06 2"), "line Tr_velo_to_cam: .* no rotation"),
    ],
)
def test_damaged_calibration_names_file_and_line(tmp_path, change, message):
    path = tmp_path / "000123.txt"
    path.write_text(CALIBRATION.replace(*change))
    with pytest.raises(ValueError, match=rf"000123\.txt.*{message}"):
        kitti.read_calibration(path)


@pytest.mark.parametrize("line", ["R0_rect", "Tr_velo_to_cam"])
def test_lidar_lines_may_be_missing_only_without_lidar(root, line):
    path = root / "training/calib/000000.txt"
    path.write_text("\n".join(each for each in path.read_text().splitlines() if not each.startswith(line)))
    with pytest.raises(ValueError, match=rf"calib/000000\.txt has no line '{line}', which the LiDAR file needs"):
        kitti.read_frame(root, "000000")
    (root / "training/velodyne/000000.bin").unlink()
    assert kitti.read_frame(root, "000000").points is None


# -- images


def test_harmless_image_modes_are_converted(tmp_path):
    colour = make_frame().image
    grey = colour[..., 0]
    opaque = np.dstack([colour, np.full(grey.shape, 255, np.uint8)])
    assert (kitti.read_image(save(tmp_path / "grey.png", grey)) == grey[..., None]).all()
    assert (kitti.read_image(save(tmp_path / "opaque.png", opaque)) == colour).all()
    two = np.where(grey > 100, 255, 0).astype(np.uint8)
    assert (kitti.read_image(save(tmp_path / "bit.png", two > 0)) == two[..., None]).all()
    palette = Image.fromarray(colour // 128 * 255).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "palette.png")
    assert (kitti.read_image(tmp_path / "palette.png") == np.array(palette.convert("RGB"))).all()
    result = kitti.read_image(tmp_path / "palette.png")
    result[0, 0] = 7  # writable, as callers expect of an array


def test_16_bit_colour_keeps_its_upper_byte(tmp_path):
    # Pillow cannot write such a file, so its chunks are put together by hand.
    values = np.random.default_rng(0).integers(0, 65536, (4, 5, 3)).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0)
    (tmp_path / "deep.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    )
    assert (kitti.read_image(tmp_path / "deep.png") == values >> 8).all()


def test_a_photo_taken_upright_is_read_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise, to show
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, :16] = 255
    image = kitti.read_image(save(tmp_path / "phone.jpg", picture, exif=exif, quality=95))
    assert image.shape == (32, 16, 3)
    assert image[:14].min() > 200
    assert image[18:].max() < 50


def test_unclear_image_modes_are_refused(tmp_path):
    deep = save(tmp_path / "deep.png", np.full((4, 4), 1000, np.uint16))
    with pytest.raises(ValueError, match=r"deep\.png has mode I;16"):
        kitti.read_image(deep)
    glass = save(tmp_path / "glass.png", np.full((4, 4, 4), 128, np.uint8))
    with pytest.raises(ValueError, match=r"glass\.png is partly transparent"):
        kitti.read_image(glass)
    colour = save(tmp_path / "colour.png", make_frame().image)
    for read in (kitti.read_depth, kitti.read_instances, kitti.read_road):
        with pytest.raises(ValueError, match=r"colour\.png has mode RGB"):
            read(colour)
    grey = save(tmp_path / "grey.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"grey\.png has mode L; a depth map is a 16-bit"):
        kitti.read_depth(grey)


def test_images_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "bomb.png", np.zeros((40, 50), np.uint8))
    monkeypatch.setattr(kitti, "LARGEST_IMAGE", 1999)
    with pytest.raises(ValueError, match=r"bomb\.png cannot be read.*50 x 40 pixels"):
        kitti.read_image(path)
    monkeypatch.undo()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)
    with pytest.raises(ValueError, match=r"bomb\.png cannot be read.*exceeds limit"):
        kitti.read_image(path)


def test_every_truncation_and_every_changed_byte_of_a_png_is_noticed(tmp_path):
    data = io.BytesIO()
    Image.fromarray(make_frame(height=6, width=5).image).save(data, "png", compress_level=1)
    data, path = data.getvalue(), tmp_path / "x.png"
    # The last twelve bytes are the end mark; the pixels are complete before it.
    pixels_end = len(data) - 12
    damaged = [data[:length] for length in range(pixels_end + 1)]
    damaged += [data[:i] + bytes([data[i] ^ 0x5A]) + data[i + 1 :] for i in range(pixels_end)]
    for each in damaged:
        path.write_bytes(each)
        with pytest.raises(ValueError, match=r"x\.png cannot be read as an image"):
            kitti.read_image(path)


def test_truncated_jpeg_is_noticed(tmp_path):
    path = save(tmp_path / "x.jpg", make_frame(height=64, width=64).image)
    data = path.read_bytes()
    for share in (0, 0.3, 0.6, 0.9):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ValueError, match=r"x\.jpg cannot be read as an image"):
            kitti.read_image(path)


# -- LiDAR and depth


def test_velodyne_with_reflectance(tmp_path):
    points, reflectance = np.random.default_rng(0).normal(size=(9, 3)), np.linspace(0, 1, 9)
    kitti.write_velodyne(tmp_path / "x.bin", points, reflectance)
    scan = kitti.read_velodyne(tmp_path / "x.bin")
    assert scan.dtype == np.float32
    assert (scan == np.column_stack([points, reflectance]).astype(np.float32)).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has 0 bytes"),
        (b"\0" * 15, "has 15 bytes"),
        (b"\0" * 31, "has 31 bytes"),
        (np.array([0, 1, np.nan, 0], "<f4").tobytes(), "NaN"),
        (np.array([0, np.inf, 0, 0], "<f4").tobytes(), "beyond 10000 m"),
        (np.array([0, 0, -1e30, 0], "<f4").tobytes(), "beyond 10000 m"),
    ],
)
def test_damaged_scans_are_refused(tmp_path, data, message):
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(ValueError, match=rf"x\.bin.*{message}"):
        kitti.read_velodyne(tmp_path / "x.bin")


@pytest.mark.parametrize(
    ("points", "reflectance", "message"),
    [
        (np.zeros((0, 3)), None, "n > 0"),
        (np.zeros((5, 4)), None, r"must be \(n, 3\)"),
        (np.zeros((5, 3)), np.zeros(4), r"reflectance must be \(5,\)"),
        (np.full((5, 3), np.nan), None, "NaN"),
    ],
)
def test_points_that_could_not_be_read_again_are_not_written(tmp_path, points, reflectance, message):
    with pytest.raises(ValueError, match=rf"x\.bin.*{message}"):
        kitti.write_velodyne(tmp_path / "x.bin", points, reflectance)
    assert list(tmp_path.iterdir()) == []


def test_depth_steps(tmp_path):
    depth = np.array([[0, 0.0001, 1 / 256, 1.0, 80.001, 255.99]], np.float32)
    kitti.write_depth(tmp_path / "x.png", depth)
    assert (kitti.read_depth(tmp_path / "x.png") * 256).tolist() == [[0, 1, 1, 256, 20480, 65533]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 256.0])
def test_depth_that_cannot_be_stored_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"x\.png: depth must lie between"):
        kitti.write_depth(tmp_path / "x.png", np.array([[1.0, value]]))
    assert list(tmp_path.iterdir()) == []


# -- what the labels mean


@pytest.mark.parametrize(
    ("height", "occlusion", "truncation", "scale", "expected"),
    [
        (40, 0, 0.15, 1, "easy"),
        (39.9, 0, 0.0, 1, "moderate"),
        (80, 1, 0.0, 1, "moderate"),
        (80, 0, 0.16, 1, "moderate"),
        (25, 1, 0.30, 1, "moderate"),
        (80, 2, 0.0, 1, "hard"),
        (25, 0, 0.31, 1, "hard"),
        (25, 2, 0.50, 1, "hard"),
        (24.9, 0, 0.0, 1, None),
        (80, 3, 0.0, 1, None),
        (80, -1, 0.0, 1, None),
        (80, 0, 0.51, 1, None),
        (20, 0, 0.0, 0.5, "easy"),
        (12.4, 0, 0.0, 0.5, None),
    ],
)
def test_difficulty(height, occlusion, truncation, scale, expected):
    each = RoadObject("Car", (0.0, 0.0, 10.0, height), truncation, occlusion)
    assert kitti.difficulty(each, scale) == expected
    assert kitti.difficulty(replace(each, name="DontCare"), scale) is None


def test_points_inside_agrees_with_coordinates_along_the_corners_edges():
    random = np.random.default_rng(4)
    for _ in range(20):
        each = RoadObject(
            "Car",
            (0, 0, 1, 1),
            dimensions=tuple(random.uniform(0.5, 5, 3)),
            location=tuple(random.uniform(-9, 9, 3)),
            yaw=random.uniform(-4, 4),
        )
        points = np.array(each.location) + random.uniform(-5, 5, (500, 3))
        # Corner 0 and its neighbours 1, 3 and 4 span the box: inside, all three coordinates lie in 0..1.
        corner = each.corners[0]
        edges = each.corners[[1, 3, 4]] - corner
        share = np.linalg.solve(edges.T, (points - corner).T).T
        expected = ((share >= 0) & (share <= 1)).all(axis=1)
        assert 0 < expected.sum() < 500
        assert (kitti.points_inside(points, each) == expected).all()
        beyond = 0.3 / np.linalg.norm(edges, axis=1)
        expected = ((share >= -beyond) & (share <= 1 + beyond)).all(axis=1)
        assert (kitti.points_inside(points, each, margin=0.3) == expected).all()


def test_surface_distance():
    frame = make_frame()
    depth = np.zeros((20, 30), np.float32)
    depth[3, 2:7] = [10, 11, 12, 90, 95]
    depth[15] = 3
    frame = replace(frame, depth=depth)
    assert kitti.surface_distance(frame, 0) == 12
    # No pixel of the pedestrian has a depth; its LiDAR points tell. P2's shift of 4 mm is part of the depth.
    points = np.array([[-2, 1, 6.8], [-2, 1.2, 6.9], [-2, 0.5, 7.2], [-2, 1, 30], [5, 1, 7]], np.float32)
    assert kitti.surface_distance(replace(frame, points=points), 2) == pytest.approx(6.904)
    assert kitti.surface_distance(replace(frame, points=points[1:]), 2) is None
    assert kitti.surface_distance(replace(frame, points=None), 2) is None
    # Without an instance map the depth map cannot tell whose pixel it is.
    assert kitti.surface_distance(replace(frame, instances=None, points=points), 2) == pytest.approx(6.904)
    assert kitti.surface_distance(replace(frame, instances=None, points=points), 1) is None


# -- drives and whole data sets


def test_read_drives(tmp_path):
    path = tmp_path / "drives.tsv"
    path.write_text("frame_id\traw_drive\traw_frame\n000000\tdrive_a\t48\n000007\tdrive_b\t2\n")
    assert kitti.read_drives(path) == {"000000": "drive_a", "000007": "drive_b"}
    for text in ("", "id\tdrive\n1\t2\n", "frame_id\traw_drive\traw_frame\n000000\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"drives\.tsv must have"):
            kitti.read_drives(path)


@pytest.mark.parametrize(
    ("place", "given", "advice"),
    [
        ("training/image_2", "training", "give {root} as ROOT"),
        ("training/image_2", "training/image_2", "give {root} as ROOT"),
        ("kitti/training/image_2", "", "there is {root}/kitti/training/image_2: give {root}/kitti as ROOT"),
        ("a/b/training/image_2", "", "there is {root}/a/b/training/image_2: give {root}/a/b as ROOT"),
        ("data_object_image_2/training/image_2", "", "move the training folders of all archives together"),
        ("image_2", "", "move image_2 and the rest to {root}/training"),
        ("training/image_2/image_2", "", "{root}/training/image_2/image_2 lies one level too deep"),
        ("data_object_image_2.zip", "", "unpack data_object_image_2.zip here"),
        ("training/image_2", "nowhere", "there is no folder {root}/nowhere"),
        ("testing/image_2", "", "the KITTI object layout)"),
    ],
)
def test_who_gives_the_wrong_folder_is_told_the_right_one(tmp_path, place, given, advice):
    (tmp_path / place).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no folder|holds no .png or .jpg") as error:
        kitti.frame_ids(tmp_path / given)
    assert str(error.value).endswith(
        advice.format(root=tmp_path) + (f", into {tmp_path}/training" * ("move the" in advice))
    )


def test_random_damage_never_gives_an_error_without_the_files_name(root):
    """Every reader, on random bytes and on sound files with random changes: a clear error or a finite result."""
    readers = {
        "image_2/000000.png": kitti.read_image,
        "calib/000000.txt": kitti.read_calibration,
        "label_2/000000.txt": kitti.read_labels,
        "velodyne/000000.bin": kitti.read_velodyne,
        "depth_2/000000.png": kitti.read_depth,
        "instance_2/000000.png": kitti.read_instances,
        "road_2/000000.png": kitti.read_road,
    }
    messages = {name: [] for name in readers}
    for seed in range(150):
        random = np.random.default_rng(seed)
        for name, read in readers.items():
            path = root / "training" / name
            sound = path.read_bytes()
            damaged = bytearray(sound if seed % 3 else random.bytes(random.integers(0, 400)))
            for place in random.integers(0, max(len(damaged), 1), 1 + seed % 4):
                damaged[place : place + random.integers(0, 3)] = random.bytes(random.integers(0, 3))
            path.write_bytes(bytes(damaged))
            try:
                read(path)
                kitti.read_frame(root, "000000")
            except (ValueError, OSError) as error:
                messages[name].append(str(error))
            path.write_bytes(sound)
    for name, texts in messages.items():
        assert len(texts) > 100
        # Damage that only shows between files (a map of another size) is told with the folder's name.
        assert sum(name in text for text in texts) > 0.95 * len(texts)
        assert all(str(root / "training") in text for text in texts)
    assert len(kitti.read_frame(root, "000000").objects) == 3


def test_reading_files_does_not_load_keras():
    code = "import sys, roidepth_lessons.kitti; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# -- real frames


@pytest.fixture(scope="module")
def real_frames():
    if not KITTI:
        pytest.skip("ROIDEPTH_KITTI is not set")
    return [kitti.read_frame(KITTI, frame_id) for frame_id in kitti.frame_ids(KITTI)]


def test_all_real_frames_are_read(real_frames):
    assert len(real_frames) == 99
    assert {frame.size for frame in real_frames} == {(370, 1224), (374, 1238), (375, 1242), (376, 1241)}
    assert sum(len(frame.objects) for frame in real_frames) == 842
    assert sum(len(frame.points) for frame in real_frames) == sum(
        path.stat().st_size // 16 for path in Path(KITTI, "training/velodyne").iterdir()
    )
    assert all(frame.depth is None and frame.instances is None for frame in real_frames)
    covered = [(frame.with_lidar_depth().depth > 0).mean() for frame in real_frames[:10]]
    assert 0.02 < np.mean(covered) < 0.06
    assert set(kitti.read_drives(Path(KITTI, "drives.tsv"))) == {frame.name for frame in real_frames}
    assert len(set(kitti.read_drives(Path(KITTI, "drives.tsv")).values())) == 29


def test_real_labels_and_frames_are_written_as_they_were_read(real_frames, tmp_path):
    for frame in real_frames:
        kitti.write_labels(tmp_path / "x.txt", frame.objects)
        assert (tmp_path / "x.txt").read_bytes() == Path(KITTI, f"training/label_2/{frame.name}.txt").read_bytes()
    frame = real_frames[0]
    kitti.write_frame(tmp_path, frame)
    again = kitti.read_frame(tmp_path, frame.name)
    assert (again.image == frame.image).all()
    assert np.abs(again.points - frame.points).max() < 1e-4
    assert (again.camera.projection == frame.camera.projection).all()


@needs_kitti
def test_real_frame_without_lidar_and_with_an_empty_label_file(tmp_path):
    training = tmp_path / "training"
    for name in ("image_2/000000.png", "calib/000000.txt"):
        (training / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(KITTI, "training", name), training / name)
    (training / "label_2").mkdir()
    (training / "label_2/000000.txt").touch()
    frame = kitti.read_frame(tmp_path, "000000")
    assert frame.points is None
    assert frame.objects == ()
    with pytest.raises(ValueError, match="has no LiDAR points"):
        frame.with_lidar_depth()


def share_of_boxes_with_lidar_in_range(frames, points_of):
    """Of the Car, Pedestrian and Cyclist boxes with occlusion 0, truncation at most 0.15 and at least 3 LiDAR points:
    the share in which the median LiDAR depth of the box's central part (half its width, half its height) lies
    between the least and the greatest depth of the 3D box's corners.
    """
    right = []
    for frame in frames:
        (u, v), depth = (values := frame.camera.project(points_of(frame)))[0].T, values[1]
        for each in frame.select(*CLASSES):
            left, top, right_edge, bottom = each.box
            across, down = np.abs(u - (left + right_edge) / 2), np.abs(v - (top + bottom) / 2)
            box = (across <= (right_edge - left) / 2) & (down <= (bottom - top) / 2)
            if each.occlusion != 0 or each.truncation > 0.15 or box.sum() < 3:
                continue
            middle = depth[(across <= (right_edge - left) / 4) & (down <= (bottom - top) / 4)]
            near, *_, far = np.sort(frame.camera.project(each.corners)[1])
            right.append(len(middle) > 0 and near <= np.median(middle) <= far)
    return np.mean(right), len(right)


def test_lidar_lies_on_the_real_objects(real_frames):
    """Measured: 162 of 166 boxes, 97.6 %. In the other four something nearer or farther fills the middle of the box.

    The median over the *whole* 2D box is right in 83 % only: more than half of a pedestrian's or a cyclist's box
    shows what is behind. Without the rectification 94 % remain, so a small error in the chain is noticed.
    """
    share, count = share_of_boxes_with_lidar_in_range(real_frames, lambda frame: frame.points)
    assert count == 166
    assert share >= 0.97

    def unrectified(frame):
        scan = kitti.read_velodyne(Path(KITTI, f"training/velodyne/{frame.name}.bin"))[:, :3]
        return replace(frame.calibration, rectification=np.eye(3)).points_from_velodyne(scan)

    assert share_of_boxes_with_lidar_in_range(real_frames, unrectified)[0] < 0.96


def test_lidar_points_lie_inside_the_real_3d_boxes(real_frames):
    """Measured: 165 of 166 unoccluded boxes hold 3 LiDAR points or more, and the surface is nearer than the centre."""
    nearer = [
        each.distance - distance
        for frame in real_frames
        for i, each in enumerate(frame.objects)
        if each.name == "Car" and (distance := kitti.surface_distance(frame, i)) is not None
    ]
    assert len(nearer) > 250
    # README of the frames: nearer by about 1.6 m in the median.
    assert 1.3 < np.median(nearer) < 1.8
