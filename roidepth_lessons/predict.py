"""Objects and distances in photos and in folders of frames: finds the files, reads all once, then goes through them.

A folder of KITTI, ``image_2`` beside ``calib``, brings its calibrations along. Nothing is held of a frame but its row
of figures, so a sequence may be long.
"""

import hashlib
import os
import re
import shlex
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import kitti
from .session import ProgressLine

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".gif")
"""How files end that hold a sequence, none of which is read here."""


@dataclass(frozen=True)
class Photo:
    """A file and what is known about the camera behind it.

    Args:
        path: The PNG or JPEG file.
        calibration: A KITTI calibration file, or None.
        camera: The `Camera` if there is a calibration; None before :func:`read_cameras` and where it must be assumed.
    """

    path: Path
    calibration: Path | None = None
    camera: object = None


@dataclass
class Outputs:
    """Where results go besides the text that is printed.

    Args:
        figures: Where each photo's figure goes, or None.
        animation: An open `draw_animation.AnimatedWebp`, or None.
        width: Of the animation's pictures, in pixels.
        kept: The indices of photos whose figures are there already and need not be drawn again.
        progress: Whether a line that counts stands in place of the rows.
    """

    figures: list | None = None
    animation: object = None
    width: int | None = None
    kept: frozenset = field(default_factory=frozenset)
    progress: bool = False


def find_photos(paths, calibration=None):
    """The photos that were asked for, those of a folder in natural order: frame2.png before frame10.png.

    Args:
        paths: Files, and folders whose .png and .jpg files count (not those of folders below).
        calibration: A calibration file for all photos. Without it, the one of a photo ``image_2/ID.png`` is
            ``calib/ID.txt`` beside ``image_2``, if it is there.

    Returns:
        A list of `Photo`.

    Raises:
        FileNotFoundError: if a folder holds no photo.
        ValueError: if a file is a video.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            found += _photos_in(path)
        elif path.suffix.lower() in VIDEOS:
            raise ValueError(_no_video(path))
        else:
            found.append(path)
    return [Photo(path, Path(calibration) if calibration else _calibration_beside(path)) for path in found]


def _photos_in(folder):
    inside = sorted((path for path in folder.iterdir()), key=lambda path: (_natural(path.name), path.name))
    photos = [path for path in inside if kitti.is_image(path) and path.is_file()]
    if photos:
        return photos
    message = f"{folder} holds no .png or .jpg photo"
    videos = [path for path in inside if path.suffix.lower() in VIDEOS]
    for below in ("image_2", "training/image_2", "testing/image_2"):
        if (folder / below).is_dir():
            message += f"; did you mean {folder / below}?"
    raise FileNotFoundError(f"{message}; {_no_video(videos[0])}" if videos else message)


def _natural(name):
    """Splits "frame10b" into text and numbers, ["frame", 10, "b"], which sort as a reader would."""
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", name)]


def _no_video(path):
    folder = shlex.quote(str(path.with_suffix("")))
    return (
        f"{path} is a video, which is not read here; make a folder of frames of it, ten a second: "
        f"mkdir {folder} && ffmpeg -i {shlex.quote(str(path))} -vf fps=10 {folder}/%06d.png"
    )


def _calibration_beside(path):
    whole = Path(os.path.abspath(path))  # a photo of the current folder has no other parent
    if whole.parent.name != "image_2":
        return None
    near = path if path.parent.name == "image_2" else whole
    calibration = near.parent.parent / "calib" / f"{path.stem}.txt"
    return calibration if calibration.is_file() else None


def read_cameras(photos, progress=False):
    """Reads every photo and calibration once, so that a damaged one is not found after an hour's work.

    Returns:
        The photos with the cameras of those that have a calibration.

    Raises:
        FileNotFoundError, ValueError: if a file is missing or damaged, or a calibration can't be of its photo.
    """
    known = []
    with ProgressLine() as line:
        for photo in photos:
            height, width = kitti.read_image(photo.path).shape[:2]
            camera = None
            if photo.calibration:
                calibration = kitti.read_calibration(photo.calibration)
                camera = kitti.fitting_camera(calibration, height, width, photo.calibration, photo.path)
            known.append(Photo(photo.path, photo.calibration, camera))
            if progress:
                line.show(f"read {len(known)} of {len(photos)} photos")
        if progress:
            line.end(f"read {len(photos)} photos")
    return known


def about_cameras(photos, given):
    """Says where the cameras come from, in lines: nothing if there was one file for all of them, given by `given`."""
    if given:
        return []
    lines = []
    without = [photo.path for photo in photos if not photo.calibration]
    folders = sorted({str(photo.calibration.parent) for photo in photos if photo.calibration})
    if folders:
        lines.append(f"calibration: the file of each photo in {', '.join(folders)}")
    if without:
        which = "no --calib" if not folders else f"no calibration of {len(without)} photos, {without[0]} first"
        lines.append(f"{which}: KITTI's field of view is assumed, so distances are only to scale (one common factor)")
    return lines


def figure_paths(figure, photos):
    """Where the figure of each photo goes.

    Args:
        figure: A name that ends in .png, to which a number is added if there are several photos; or a folder.
        photos: List of `Photo`.

    Raises:
        ValueError: if the name ends in something else, two photos would have the same figure, or a figure would be
            drawn over a photo or among the photos.
    """
    figure, count = Path(figure), len(photos)
    if figure.is_dir() or not figure.suffix:
        paths = [figure / f"{photo.path.stem}.png" for photo in photos]
        if len(set(paths)) < count:
            twice = next(path for path in paths if paths.count(path) > 1)
            raise ValueError(f"{figure}: two photos would both be {twice.name}; name a file, OUT.png: it is numbered")
        if figure.resolve() in {photo.path.resolve().parent for photo in photos}:
            raise ValueError(f"{figure} holds the photos; name another folder for the figures")
    elif figure.suffix.lower() != ".png":
        raise ValueError(f"{figure}: figures are saved as PNG, so the name must end in .png (or be a folder's)")
    else:
        names = [f"{figure.stem}_{number:03d}{figure.suffix}" if count > 1 else figure.name for number in range(count)]
        paths = [figure.with_name(name) for name in names]
    if over := {path.resolve() for path in paths} & {photo.path.resolve() for photo in photos}:
        raise ValueError(f"{figure}: the figure would be written over the photo {sorted(over)[0]}")
    return paths


def claim_figures(folder, photos, paths, settings):
    """Which figures of an earlier, interrupted run are there and may stay.

    What made them is noted in ``settings.json`` in the folder: figures of other photos or weights never stay.

    Args:
        folder: Where the figures go.
        photos: List of `Photo`.
        paths: Of the figures, as from :func:`figure_paths`.
        settings: Dictionary of what else decides what the figures show.

    Returns:
        The indices of the photos whose figure is there and newer than photo and calibration, as a frozenset.

    Raises:
        ValueError: if the folder holds pictures that were made otherwise.
    """
    note = Path(folder) / "settings.json"
    wanted = {**settings, "photos": sorted({str(photo.path.resolve().parent) for photo in photos})}
    try:
        same = kitti.read_json(note) == wanted
    except (OSError, ValueError):
        same = False
    if not same and any(path.suffix.lower() == ".png" for path in Path(folder).glob("*")):
        raise ValueError(
            f"{folder} holds pictures of other photos, weights or settings; name another folder or empty it"
        )
    kitti.write_json(note, wanted)

    def newest(photo):
        return max(path.stat().st_mtime for path in (photo.path, photo.calibration) if path)

    done = (path.exists() and path.stat().st_mtime > newest(photo) for photo, path in zip(photos, paths, strict=True))
    return frozenset(index for index, there in enumerate(done) if there)


def fingerprint(path):
    """SHA-256 of a weights file, to know it again; of an export's folder, that of its card, which holds the others'."""
    if Path(path).is_dir():
        from .export import CARD  # here, since it imports Keras

        path = Path(path) / CARD
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def predict_photos(model, photos, outputs, mode="auto", threshold=None, rows=True):
    """Goes through the photos: prints, draws, and adds to the animation.

    Args:
        model: `RoiDepth`.
        photos: List of `Photo`, as from :func:`read_cameras`.
        outputs: `Outputs`.
        mode, threshold: As for `RoiDepth.predict`.
        rows: Whether the rows are wanted. If not, and there is no animation, photos whose figures are kept are skipped.

    Returns:
        A list of dictionaries, one per photo, in JSON's types; without the photos that were skipped.
    """
    results, skipped = [], outputs.kept if not (rows or outputs.animation) else ()
    first_size = None
    with ProgressLine() as line:
        for number, photo in enumerate(photos):
            if number in skipped:
                continue
            image = kitti.read_image(photo.path)
            first_size = first_size or image.shape[:2]
            camera = photo.camera or _assumed_camera(image)
            try:
                prediction = model.predict(image, camera, mode, threshold)
            except ValueError as error:  # an export is for photos of one size
                raise ValueError(f"{photo.path}: {error}") from error
            results.append(_row(photo, camera, prediction))
            if outputs.figures and number not in outputs.kept:
                _draw(image, prediction, outputs.figures[number])
            if outputs.animation:
                title = f"{photo.path.name}, {number + 1} of {len(photos)}"
                _add_picture(outputs, image, prediction, title, first_size)
            if outputs.progress:
                line.show(f"predicted {number + 1} of {len(photos)} photos")
            else:
                print(_text(results[-1]))
        if outputs.progress:
            line.end(f"predicted {len(results)} of {len(photos)} photos" + ", the others were there" * bool(skipped))
            print(_total(results))
    return results


def _assumed_camera(image):
    from .model import default_camera  # here, since what is wrong with the files should be said before Keras starts

    return default_camera(image)


def _draw(image, prediction, path):
    from . import draw

    draw.save(draw.result(image, prediction.objects, prediction.depth), path)


def _add_picture(outputs, image, prediction, title, panel_shape):
    from . import draw_animation

    figure = draw_animation.photo_and_above(image, prediction.objects, outputs.width, title, panel_shape)
    outputs.animation.add(draw_animation.pixels_of(figure))


def _row(photo, camera, prediction):
    rows = [
        {("class" if key == "name" else key): value for key, value in asdict(each).items()}
        for each in prediction.objects
    ]
    return {
        "image": str(photo.path),
        "calibration": str(photo.calibration) if photo.calibration else None,
        "focal_length_pixels": float(camera.focal_length[0]),
        "focal_length_assumed": photo.camera is None,
        "head_work": prediction.head_work,
        "objects": rows,
    }


def _text(row):
    """A line for the photo and one per object."""
    assumed = f", assumed focal length {row['focal_length_pixels']:.0f} pixels" * row["focal_length_assumed"]
    head = f"{row['image']}: {len(row['objects'])} objects, {row['head_work']:.0%} of the depth head's work{assumed}"
    lines = [
        f"  {each['class']:<11}{each['score']:5.2f}  {each['distance_m']:6.1f} m ± {each['distance_spread_m']:.1f}"
        for each in row["objects"]
    ]
    return "\n".join([head, *lines])


def _total(rows):
    """One line about all photos."""
    if not rows:
        return "no photo was left to do"
    classes = Counter(each["class"] for row in rows for each in row["objects"])
    words = ", ".join(f"{name} {count}" for name, count in classes.most_common())
    work = sum(row["head_work"] for row in rows) / len(rows)
    return f"{sum(classes.values())} objects{f' ({words})' if words else ''}, {work:.0%} of the depth head's work"
