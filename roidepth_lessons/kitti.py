"""Reads and writes the KITTI object layout: the one form in which all data of this course, made or real, is kept.

    ROOT/training/image_2/ID.png    the photo (.jpg also works)
                  calib/ID.txt      lines ``P2``, ``R0_rect``, ``Tr_velo_to_cam``
                  label_2/ID.txt    one row per object; optional, may be empty
                  velodyne/ID.bin   LiDAR points: float32 x, y, z, reflectance; optional
                  depth_2/ID.png    depth * 256 as uint16, 0 unknown (KITTI's depth benchmark); optional, ours
                  instance_2/ID.png uint8, i + 1 where row i of the label file is seen; optional, ours
                  road_2/ID.png     1 bit, set on the road; optional, ours

Everything here raises `FileNotFoundError` for a missing file and `ValueError` for a damaged one, and names the file.
Format: Geiger et al., "Are we ready for autonomous driving?", CVPR 2012, and the KITTI object development kit.
"""

import contextlib
import glob
import io
import json
import os
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .camera import Calibration
from .frames import DONT_CARE, Frame, RoadObject

LAYOUT = "expected ROOT/training/image_2/ID.png, ROOT/training/calib/ID.txt and so on (the KITTI object layout)"
DEPTH_UNITS_PER_METRE = 256
"""Depth is stored in steps of 1/256 m, as in KITTI's depth benchmark: to 2 mm, and up to 255.99 m."""
FARTHEST_POINT = 10_000.0
"""Metres. No LiDAR reaches so far: a larger coordinate means that the file is damaged."""
LARGEST_NUMBER = 1e6
"""No pixel, metre or focal length in a label or calibration file comes near it."""
LARGEST_IMAGE = 89_000_000
"""Pixels. Files that unpack to more are refused (Pillow warns from about here on)."""
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
"""What is decoded, whatever a file is called. Others Pillow hands to programs that run what stands in them (EPS)."""
LABEL_FIELDS = (
    "class", "truncation", "occlusion", "alpha", "left", "top", "right", "bottom",
    "height", "width", "length", "x", "y", "z", "yaw",
)  # fmt: skip
"""The columns of a label file, in order; a detection has a score behind them."""
DIFFICULTIES = (("easy", 40, 0, 0.15), ("moderate", 25, 1, 0.30), ("hard", 25, 2, 0.50))
"""KITTI's levels: name, least box height in pixels, largest occlusion, largest truncation."""


def frame_ids(root, split="training"):
    """The identifiers of all frames below `root`, sorted. Raises FileNotFoundError if there is none."""
    folder = Path(root) / split / "image_2"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; {LAYOUT}{_where_else(Path(root), split)}")
    names = {path.stem for path in folder.iterdir() if is_image(path)}
    if not names:
        raise FileNotFoundError(f"{folder} holds no .png or .jpg image; {LAYOUT}{_where_else(Path(root), split)}")
    return sorted(names)


def _where_else(root, split):
    """What to do, for somebody who has unpacked KITTI's archives to another place or gives another folder as ROOT."""
    if not root.is_dir():
        return f"; there is no folder {root}"
    whole = root.resolve()
    if whole.name == "image_2" and whole.parent.name == split:
        return f"; give {whole.parent.parent} as ROOT"
    if (root / "image_2").is_dir():
        return (
            f"; give {whole.parent} as ROOT"
            if whole.name == split
            else f"; move image_2 and the rest to {root / split}"
        )
    if (root / split / "image_2" / "image_2").is_dir():
        return f"; {root / split / 'image_2' / 'image_2'} lies one level too deep"
    found = sorted(path for depth in ("*", "*/*") for path in root.glob(f"{depth}/{split}/image_2") if path.is_dir())
    if found and found[0].parents[1].name.startswith("data_object"):
        return f"; there is {found[0]}: move the {split} folders of all archives together, into {root / split}"
    if found:
        return f"; there is {found[0]}: give {found[0].parents[1]} as ROOT"
    archives = sorted(path.name for path in root.glob("*.zip"))
    return f"; unpack {', '.join(archives)} here" if archives else ""


def read_frame(root, frame_id, split="training"):
    """Everything that the files know about one frame.

    Returns:
        A `Frame` with its `calibration`; `points` are in rectified camera coordinates. Whatever has no file is None
        (`objects`: empty). Real frames have no depth map of their own: see :meth:`Frame.with_lidar_depth`.

    Raises:
        FileNotFoundError: if the image or the calibration file is missing.
        ValueError: if a file is damaged, or the files do not fit together.
    """
    folder = Path(root) / split
    parts = {"image_2": read_image(file_of(folder, "image_2", frame_id))}
    scan = file_of(folder, "velodyne", frame_id)
    parts["calib"] = read_calibration(file_of(folder, "calib", frame_id), with_lidar=scan.exists())
    for kind, read in OPTIONAL_READERS.items():
        path = file_of(folder, kind, frame_id)
        if path.exists():
            parts[kind] = read(path)
    return assemble_frame(folder, frame_id, parts)


def assemble_frame(folder, frame_id, parts):
    """The `Frame` of what was read from its files.

    Args:
        folder: ROOT/training or another split, for messages.
        frame_id: Its identifier.
        parts: Dictionary from "image_2", "calib" and what else there is ("label_2", "velodyne", "depth_2",
            "instance_2", "road_2") to what the reader of that file gives.

    Raises:
        ValueError: if the parts do not fit together.
    """
    calibration, objects, instances = parts["calib"], parts.get("label_2"), parts.get("instance_2")
    points = parts.get("velodyne")
    if points is not None:
        points = calibration.points_from_velodyne(points[:, :3]).astype(np.float32)
    if instances is not None and objects is not None and instances.max() > len(objects):
        raise ValueError(
            f"{file_of(folder, 'instance_2', frame_id)} speaks of object {instances.max()}, "
            f"but {file_of(folder, 'label_2', frame_id)} has {len(objects)} rows"
        )
    try:
        return Frame(
            name=frame_id,
            image=parts["image_2"],
            camera=calibration.camera(*parts["image_2"].shape[:2]),
            objects=objects or (),
            depth=parts.get("depth_2"),
            instances=instances,
            road=parts.get("road_2"),
            points=points,
            calibration=calibration,
        )
    except ValueError as error:
        raise ValueError(str(error) if str(folder) in str(error) else f"{folder}: {error}") from error


def write_frame(root, frame, split="training"):
    """Write all files of a frame. The label file comes last: where it stands, the frame is complete.

    A file that an earlier frame of the same name left is replaced or removed. If the frame has LiDAR points but no
    calibration (a mirrored frame), the chain of `Calibration`'s defaults is written and the points agree with it.

    Raises:
        ValueError: if the frame's name cannot be a file name, or a value cannot be stored (NaN, depth over 255 m).
    """
    if not frame.name or frame.name.startswith(".") or Path(frame.name).name != frame.name:
        raise ValueError(f"the frame's name is used as a file name, got {frame.name!r}")
    folder = Path(root) / split
    labels = file_of(folder, "label_2", frame.name)
    calibration = replace(frame.calibration or Calibration(frame.camera.projection), projection=frame.camera.projection)
    points = None if frame.points is None else calibration.points_to_velodyne(frame.points)

    labels.unlink(missing_ok=True)
    _write_png(file_of(folder, "image_2", frame.name), frame.image)
    write_calibration(file_of(folder, "calib", frame.name), calibration)
    _write_or_remove(write_velodyne, file_of(folder, "velodyne", frame.name), points)
    _write_or_remove(write_depth, file_of(folder, "depth_2", frame.name), frame.depth)
    _write_or_remove(_write_instances, file_of(folder, "instance_2", frame.name), frame.instances)
    _write_or_remove(_write_road, file_of(folder, "road_2", frame.name), frame.road)
    write_labels(labels, frame.objects)


def read_labels(path):
    """A label file as a tuple of `RoadObject`: 15 columns, or 16 with a score. Empty lines are skipped."""
    lines = _read_text(path).splitlines()
    return tuple(_parse_label(line, f"{path}, line {i}") for i, line in enumerate(lines, start=1) if line.strip())


def write_labels(path, objects):
    """Write `RoadObject`s as KITTI does: pixels, metres and radians with two decimals; a score with four.

    Raises:
        ValueError: if a value is not finite, a box is turned round or a name holds a space. Nothing is written then.
    """
    rows = [_label_row(each) for each in objects]
    for i, (row, each) in enumerate(zip(rows, objects, strict=True)):
        if len(each.name.split()) != 1:
            raise ValueError(f"{path}, object {i}: its class must be one word, got {each.name!r}")
        _parse_label(row, f"{path}, object {i}")
    write_text(path, "".join(row + "\n" for row in rows))


def read_calibration(path, with_lidar=False):
    """A calibration file as a `Calibration`. Lines other than the three it needs are ignored.

    Args:
        path: Text file with lines such as ``P2: 12 numbers``.
        with_lidar: Whether ``R0_rect`` and ``Tr_velo_to_cam`` must be there. ``P2`` always must.
    """
    rows = {}
    for line in _read_text(path).splitlines():
        name, colon, text = line.partition(":")
        if colon and name.strip() in rows:
            raise ValueError(f"{path} has two lines {name.strip()!r}")
        rows |= {name.strip(): text} if colon else {}
    fields = {
        "projection": ("P2", (3, 4)),
        "rectification": ("R0_rect", (3, 3)),
        "velodyne_to_camera": ("Tr_velo_to_cam", (3, 4)),
    }
    matrices = {}
    for field, (name, shape) in fields.items():
        if name in rows:
            matrices[field] = _parse_matrix(rows[name], shape, f"{path}, line {name}")
        elif field == "projection" or with_lidar:
            raise ValueError(f"{path} has no line {name!r}" + (", which the LiDAR file needs" if with_lidar else ""))
    for field in set(matrices) - {"projection"}:
        rotation = matrices[field][:, :3]
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
            raise ValueError(f"{path}, line {fields[field][0]}: its first three columns are no rotation")
    calibration = Calibration(**matrices)
    try:
        calibration.camera(1, 1)
    except ValueError as error:
        raise ValueError(f"{path}, line P2: {error}") from error
    return calibration


def write_calibration(path, calibration):
    """Write a `Calibration` in KITTI's text form, with its 13 significant digits."""
    rows = {
        "P2": calibration.projection,
        "R0_rect": calibration.rectification,
        "Tr_velo_to_cam": calibration.velodyne_to_camera,
    }
    text = "".join(f"{name}: " + " ".join(f"{x:.12e}" for x in np.ravel(rows[name])) + "\n" for name in rows)
    write_text(path, text)


def fitting_camera(calibration, height, width, path, photo):
    """The `Camera` of a photo of `height` x `width` pixels, refused if the calibration can't be of this photo.

    Args:
        calibration: A `Calibration`.
        height, width: Of the photo, in pixels.
        path, photo: The two files, for messages.

    Raises:
        ValueError: if the principal point lies outside of the photo or the focal length is below a tenth of its width.
    """
    camera = calibration.camera(height, width)
    (focal_length, _), (u, v) = camera.focal_length, camera.center
    if not (0 <= u < width and 0 <= v < height and focal_length > width / 10):
        raise ValueError(
            f"{path}: focal length {focal_length:.0f} and principal point ({u:.0f}, {v:.0f}) can't be of "
            f"{photo}, {width}x{height} pixels; is it of another camera, or was the photo resized or cut?"
        )
    return camera


def read_image(path):
    """An image file as (height, width, 3) uint8, RGB, turned upright if its EXIF data say so.

    Grey, palette and opaque RGBA images are converted. 16-bit grey and transparent ones raise ValueError, for there
    is no one right way to show them.
    """
    image = _open_image(path)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:
            raise ValueError(f"{path} is partly transparent; save it as an opaque RGB image")
    if image.mode not in ("RGB", "RGBA", "L", "P", "1", "CMYK", "YCbCr"):
        raise ValueError(f"{path} has mode {image.mode}, not 8-bit colour; save it as an RGB image")
    return np.array(image.convert("RGB"))


def read_velodyne(path):
    """A LiDAR scan as (n, 4) float32: x forward, y left, z up in metres, and reflectance 0 to 1."""
    data = _read_bytes(path)
    if not data or len(data) % 16:
        raise ValueError(f"{path} has {len(data)} bytes: a scan is 16 bytes for each of its points; is it cut short?")
    points = np.frombuffer(data, dtype="<f4").reshape(-1, 4).astype(np.float32)
    _check_points(points, path)
    return points


def write_velodyne(path, points, reflectance=None):
    """Write (n, 3) LiDAR points in metres, n > 0, with (n,) reflectances (0 if not given)."""
    points = np.asarray(points, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise ValueError(f"{path}: points must be (n, 3) with n > 0, got shape {points.shape}; no points, no file")
    reflectance = np.zeros(len(points)) if reflectance is None else np.asarray(reflectance)
    if reflectance.shape != (len(points),):
        raise ValueError(f"{path}: reflectance must be ({len(points)},), got shape {reflectance.shape}")
    scan = np.concatenate([points, reflectance[:, None]], axis=1).astype("<f4")
    _check_points(scan, path)
    write_atomically(path, lambda file: file.write(scan.tobytes()))


def read_depth(path):
    """A depth map: (height, width) float32, metres; 0 where it is not known."""
    image = _open_image(path)
    if image.mode not in ("I;16", "I"):
        raise ValueError(f"{path} has mode {image.mode}; a depth map is a 16-bit grey PNG (metres * 256)")
    steps = np.array(image)
    if steps.min() < 0 or steps.max() > 65535:
        raise ValueError(f"{path} holds {steps.min()} to {steps.max()}; a depth map is 16-bit, 0 to 65535")
    return steps.astype(np.float32) / DEPTH_UNITS_PER_METRE


def write_depth(path, depth):
    """Write a depth map in metres, to the nearest 1/256 m. A known depth never becomes 0, which means unknown."""
    steps = np.rint(np.asarray(depth, dtype=np.float64) * DEPTH_UNITS_PER_METRE)
    if not (np.isfinite(steps).all() and steps.min() >= 0 and steps.max() <= 65535):
        raise ValueError(f"{path}: depth must lie between 0 and 255.99 m everywhere (0: not known)")
    _write_png(path, np.where(depth > 0, np.maximum(steps, 1), 0).astype(np.uint16))


def read_instances(path):
    """An instance map: (height, width) uint8; 0 for no object, i + 1 for row i of the label file."""
    image = _open_image(path)
    if image.mode != "L":
        raise ValueError(f"{path} has mode {image.mode}; an instance map is an 8-bit grey PNG")
    return np.array(image)


def read_road(path):
    """A road mask: (height, width) bool, True on the road."""
    image = _open_image(path)
    if image.mode not in ("1", "L"):
        raise ValueError(f"{path} has mode {image.mode}; a road mask is a 1-bit (or 8-bit grey) PNG")
    return np.array(image) > 0


def drives_file(root):
    """Where a folder in the KITTI layout may say from which drive each frame is."""
    return Path(root) / "drives.tsv"


def read_drives(path):
    """``drives.tsv`` as a dictionary from frame identifier to drive: frames of one drive look alike."""
    header, *rows = [line.split("\t") for line in _read_text(path).splitlines() if line.strip()] or [[]]
    filled = all(len(row) > 1 and row[0].strip() and row[1].strip() for row in rows)
    if header[:2] != ["frame_id", "raw_drive"] or not filled:
        raise ValueError(f"{path} must have tab-separated columns frame_id and raw_drive, filled in every row")
    drives = {}
    for frame_id, drive, *_ in rows:
        if frame_id in drives:
            raise ValueError(f"{path} has two rows of frame {frame_id}")
        drives[frame_id] = drive
    return drives


OPTIONAL_READERS = {
    "label_2": read_labels,
    "velodyne": read_velodyne,
    "depth_2": read_depth,
    "instance_2": read_instances,
    "road_2": read_road,
}
"""How each file of a frame is read that may be missing."""


def file_of(folder, kind, frame_id):
    """Where a frame's file of a kind ("image_2", "calib", ...) stands below `folder`, ROOT/training for instance."""
    suffix = {"calib": "txt", "label_2": "txt", "velodyne": "bin"}.get(kind, "png")
    path = folder / kind / f"{frame_id}.{suffix}"
    if kind == "image_2" and not path.exists():
        others = (path.with_name(frame_id + other) for other in (".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG"))
        return next((other for other in others if other.exists()), path)
    return path


def is_image(path):
    """Whether a path is named like a photo: .png or .jpg, and not hidden."""
    return path.suffix.lower() in (".png", ".jpg", ".jpeg") and not path.name.startswith(".")


def write_atomically(path, write):
    """Call ``write(file)`` on a new binary file beside `path`, then rename it: nobody ever sees half a file.

    The temporary name starts with a dot and ends in ``.tmp``; it is removed if `write` fails. Missing folders are made.

    Raises:
        OSError: if it can't be written, for instance because the disk is full; names `path`.
    """

    def save(temporary):
        with open(temporary, "wb") as file:
            write(file)

    save_atomically(path, save)


def save_atomically(path, save, suffix=""):
    """:func:`write_atomically` for libraries that open the file themselves.

    Args:
        path: The file.
        save: Function that writes to the path it is given.
        suffix: What the temporary name must end in, behind ``.tmp``: some libraries look at it.
    """
    path = Path(path)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp{suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # it may be the folder that is at fault
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary), temporary):
            raise OSError(error.errno, f"can't be written: {os.strerror(error.errno)}", str(path)) from error
        raise


def clear_temporaries(path):
    """Removes what was left beside a file, or in a folder, by a process that was killed while it wrote.

    Only for who is alone there: see `processes.only_run`.
    """
    path = Path(path)
    folder, name = (path, "*") if path.is_dir() else (path.parent, f"{glob.escape(path.name)}.*")
    for stale in folder.glob(f".{name}.tmp*"):
        stale.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file in UTF-8, whole or not at all: see :func:`write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path, content):
    """Write a JSON file, whole or not at all: see :func:`write_atomically`.

    Raises:
        ValueError: if a number in it is NaN or infinite, which JSON does not know.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path):
    """What a JSON file holds.

    Raises:
        FileNotFoundError: if it is missing. ValueError: if it is damaged. Both name it.
    """
    try:
        return json.loads(_read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:  # the second: brackets in brackets, thousands of them
        raise ValueError(f"{path} is damaged: not JSON ({error})") from error
    except ValueError as error:  # a number of too many digits
        raise ValueError(str(error) if str(path) in str(error) else f"{path} is damaged: {error}") from error


def difficulty(each, scale=1.0):
    """KITTI's level of an object: "easy", "moderate", "hard", or None if it does not count.

    Args:
        each: A labelled `RoadObject`.
        scale: Height of the image over the height of KITTI's (375): least box heights shrink with it.
    """
    height = each.box[3] - each.box[1]
    for name, least_height, most_occlusion, most_truncation in DIFFICULTIES:
        visible = 0 <= each.occlusion <= most_occlusion and each.truncation <= most_truncation
        if visible and height >= least_height * scale and each.name != DONT_CARE:
            return name
    return None


def points_inside(points, each, margin=0.0):
    """Which points lie in an object's 3D box.

    Args:
        points: (n, 3) in camera coordinates, metres.
        each: The `RoadObject`.
        margin: Metres by which the box is widened on all sides.

    Returns:
        (n,) bool.
    """
    height, width, length = each.dimensions
    x, y, z = (np.asarray(points, dtype=np.float64) - np.array(each.location)).T
    cosine, sine = np.cos(each.yaw), np.sin(each.yaw)
    along, across = cosine * x - sine * z, sine * x + cosine * z
    return (
        (np.abs(along) <= length / 2 + margin)
        & (np.abs(across) <= width / 2 + margin)
        & (y <= margin)
        & (y >= -height - margin)
    )


def surface_distance(frame, index):
    """Depth of the visible surface of ``frame.objects[index]`` in metres, or None if fewer than 3 values tell.

    The median depth of the pixels that show the object, if the frame has a depth and an instance map; else the
    median depth of the LiDAR points inside its 3D box.
    """
    depth = np.empty(0)
    if frame.instances is not None and frame.depth is not None:
        depth = frame.depth[(frame.instances == index + 1) & (frame.depth > 0)]
    if len(depth) < 3 and frame.points is not None:
        inside = points_inside(frame.points, frame.objects[index])
        depth = frame.camera.project(frame.points[inside])[1]
    return float(np.median(depth)) if len(depth) >= 3 else None


def _write_or_remove(write, path, value):
    if value is None:
        path.unlink(missing_ok=True)
    else:
        write(path, value)


def _read_bytes(path):
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{path} is missing") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder, not a file") from None


def _read_text(path):
    try:
        return _read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file: {error}") from None


def _open_image(path):
    data = _read_bytes(path)
    try:
        # `load` does not look at a PNG's checksums, `verify` does; after it the file must be opened anew.
        Image.open(io.BytesIO(data), formats=IMAGE_FORMATS).verify()
        image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
        if image.width * image.height > LARGEST_IMAGE:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        image.load()
        return ImageOps.exif_transpose(image)
    # On damaged bytes Pillow raises errors of about every class (OSError, SyntaxError, struct.error, ...).
    except Exception as error:
        raise ValueError(f"{path} cannot be read as an image ({error}); is it damaged or cut short?") from error


def _write_png(path, array):
    # Fast compression: streets are written by the thousand.
    write_atomically(path, lambda file: Image.fromarray(array).save(file, "png", compress_level=1))


def _write_instances(path, instances):
    if instances.dtype != np.uint8:
        raise ValueError(f"{path}: instances must be uint8, got {instances.dtype}")
    _write_png(path, instances)


def _write_road(path, road):
    _write_png(path, np.asarray(road, dtype=bool))


def _check_points(points, path):
    # Written so that NaN fails too.
    if not (np.abs(points) < FARTHEST_POINT).all():
        raise ValueError(f"{path} holds NaN or a coordinate beyond {FARTHEST_POINT:.0f} m; the points are damaged")


def _parse_numbers(text, where):
    try:
        # Python would take 1_000 and digits of other scripts; no other reader of these files does.
        numbers = [float(word if word.isascii() and "_" not in word else "") for word in text.split()]
    except ValueError:
        raise ValueError(f"{where}: not a number in {text.strip()[:200]!r}") from None
    # Written so that NaN fails too.
    if not all(abs(number) < LARGEST_NUMBER for number in numbers):
        raise ValueError(f"{where}: NaN, infinity or a number beyond a million in {text.strip()[:200]!r}")
    return numbers


def _parse_matrix(text, shape, where):
    numbers = _parse_numbers(text, where)
    if len(numbers) != shape[0] * shape[1]:
        raise ValueError(f"{where}: expected {shape[0] * shape[1]} numbers, got {len(numbers)}")
    return np.reshape(numbers, shape)


def _parse_label(line, where):
    columns = len(line.split())
    if columns not in (15, 16):
        raise ValueError(f"{where}: expected 15 columns (16 with a score), got {columns}: {line.strip()[:200]!r}")
    name, rest = line.split(maxsplit=1)
    numbers = _parse_numbers(rest, where)
    truncation, occlusion, alpha, left, top, right, bottom = numbers[:7]
    if right < left or bottom < top:
        raise ValueError(f"{where}: the box's right or bottom comes before its left or top: {line.strip()!r}")
    if occlusion != round(occlusion):
        raise ValueError(f"{where}: occlusion must be a whole number, got {occlusion}")
    return RoadObject(
        name=name,
        box=(left, top, right, bottom),
        truncation=truncation,
        occlusion=int(occlusion),
        alpha=alpha,
        dimensions=tuple(numbers[7:10]),
        location=tuple(numbers[10:13]),
        yaw=numbers[13],
        score=numbers[14] if columns == 16 else None,
    )


def _label_row(each):
    box = " ".join(f"{value:.2f}" for value in each.box)
    if each.name == DONT_CARE:
        return f"{DONT_CARE} -1 -1 -10 {box} -1 -1 -1 -1000 -1000 -1000 -10"
    place = " ".join(f"{value:.2f}" for value in (*each.dimensions, *each.location, each.yaw))
    score = "" if each.score is None else f" {each.score:.4f}"
    return f"{each.name} {each.truncation:.2f} {each.occlusion} {each.alpha:.2f} {box} {place}{score}"
