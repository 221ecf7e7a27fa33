"""`RoiDepth`: encoder, detection head and depth head composed. The whole program of the course.

Training sees an encoder-decoder with two branches (:func:`build_network`). Prediction (:class:`RoiDepth`) runs the
same layers, but decodes depth only in windows around the objects that the detection branch found.
"""

import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from PIL import Image

from . import CLASSES, depth, detection, encoder, metrics, pretrained, roi
from .camera import Camera, resize_nearest
from .compiled import Compiled, WindowDecoder, fold_batch_normalization

CANONICAL_FOCAL_LENGTH = 240.0
"""Pixels. Depths inside the network are those of a camera with this focal length: metres * 240 / focal length. Photos
are scaled to about this, too, unless the network was trained on larger or smaller ones (:func:`photo_focal_length`).
"""

DEFAULT_FOCAL_SHARE = 0.58
"""Focal length by image width that is assumed for a photo without a calibration file: KITTI's field of view."""

MODES = ("roi", "full", "auto")

THRESHOLD = 0.4
"""Lowest score of what is reported. Chosen on 300 validation streets (seed 100002), where hits and false alarms balance
best between 0.35 and 0.5: see ``by_threshold`` in ``data/results/streets_validation.json``.
"""

WEAKEST = 0.02
"""Peaks with a lower score are not even candidates."""


ARCHIVE_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
LARGEST_ARCHIVE = 1_000_000_000
"""Bytes that a weights file may unpack to."""
LARGEST_PHOTO = 8_000_000
"""Pixels to which a photo is scaled at most; KITTI's are scaled to 50,000, the widest lens needs a million."""


ENCODERS = ("residual", "lean", "efficientnet-lite0")
"""The course's own encoder, a leaner one that is faster, and one that begins with weights from ImageNet."""


def build_network(
    class_count=len(CLASSES),
    channels=(24, 48, 64, 96, 128),
    blocks=(2, 2, 2, 2),
    neck_channels=48,
    encoder_name="residual",
):
    """The network that is trained: one shared encoder, two branches, full depth map.

    Args:
        class_count: Kinds of objects.
        channels, blocks: Of the residual encoder, see `encoder.build_encoder`. The others have sizes of their own.
        neck_channels: Channels of the features that both heads read.
        encoder_name: One of `ENCODERS`. For a backbone of your own, see `encoder.from_backbone` and :func:`compose`.

    Returns:
        A Keras model from a dictionary of ``image`` (batch, height, width, 3), values 0 to 255, and ``camera``
        (batch, 4), to a dictionary of ``heatmap``, ``box``, ``object`` (see `detection`) and ``depth`` (see `depth`).

    Raises:
        ValueError: if there is no such encoder, or if its weights are not installed or damaged.
    """
    if encoder_name not in ENCODERS:
        raise ValueError(f"the encoder must be one of {', '.join(ENCODERS)}, got {encoder_name!r}")
    if encoder_name == "lean":
        channels, blocks = encoder.LEAN_CHANNELS, encoder.LEAN_BLOCKS
    if encoder_name == "efficientnet-lite0":
        shared = build_efficientnet_lite0(neck_channels, weights="imagenet")
    else:
        shared = encoder.build_encoder(channels, blocks, neck_channels, CANONICAL_FOCAL_LENGTH)
    return compose(
        shared,
        detection.build_detection_head(neck_channels, class_count=class_count),
        depth.build_depth_head(neck_channels),
    )


def build_efficientnet_lite0(neck_channels=48, canonical_focal_length=CANONICAL_FOCAL_LENGTH, weights=None):
    """EfficientNet-Lite0 with the course's neck, in place of `encoder.build_encoder`.

    Args:
        neck_channels, canonical_focal_length: See `encoder.build_encoder`.
        weights: None for random ones, "imagenet", or a file: see `pretrained.build_trunk`, also for what is raised.
    """
    trunk = pretrained.build_trunk(weights)
    return encoder.from_backbone(trunk, pretrained.LEVELS, neck_channels, canonical_focal_length)


def compose(shared_encoder, detection_head, depth_head, **more_heads):
    """The training network of any encoder with these strides, the two heads, and any other ones.

    Args:
        shared_encoder: A model like that of `encoder.build_encoder`, called ``encoder``.
        detection_head, depth_head: Models like those of `detection` and `depth`, with their names.
        more_heads: Heads of tasks of one's own, by the name of their output: each a model or a layer from the features
            (batch, height / 4, width / 4, channels) to one array.

    Raises:
        ValueError: if one of `more_heads` has the name of an output of the two heads.
    """
    inputs = _network_inputs()
    features = shared_encoder([inputs["image"], inputs["camera"]])
    padded = layers.ZeroPadding2D(depth.HALO, name="pad_once")(features)
    outputs = dict(detection_head(features), depth=depth_head(padded))
    taken = sorted(set(outputs) & set(more_heads))
    if taken:
        raise ValueError(f"heads: {taken} are outputs of detection or depth already; take another name")
    outputs |= {name: head(features) for name, head in more_heads.items()}
    return keras.Model(inputs, outputs, name="roi_depth")


def photo_focal_length(network):
    """To how many pixels of focal length photos are scaled for a network: that of its training images.

    Args:
        network: A model of :func:`compose`.
    """
    lengths = [each.photo_focal_length for each in _rays(network)]
    return next((length for length in lengths if length), CANONICAL_FOCAL_LENGTH)


def keep_photo_focal_length(network, pixels):
    """Notes, in the network itself, the focal length of the photos that it is trained on: prediction will scale to it.

    Larger photos show small objects better and cost more.

    Args:
        network: A model of :func:`compose`. An encoder without `encoder.CameraRays` has no place for it and keeps to
            the canonical focal length.
        pixels: The focal length. One within a twentieth of the canonical one is taken for it.

    Raises:
        ValueError: if `pixels` is not a positive number.
    """
    if not 0 < pixels < np.inf:
        raise ValueError(f"the focal length must be a positive number of pixels, got {pixels}")
    canonical = abs(pixels / CANONICAL_FOCAL_LENGTH - 1) < 0.05
    for each in _rays(network):
        each.photo_focal_length = None if canonical else round(float(pixels), 1)


def _rays(network):
    return [each for each in network.get_layer("encoder").layers if isinstance(each, encoder.CameraRays)]


def _network_inputs():
    return {"image": keras.Input((None, None, 3), name="image"), "camera": keras.Input((4,), name="camera")}


class DecodePeaks(layers.Layer):
    """The detection head and `detection.decode` as one layer, so that they run inside the compiled detector.

    Where the head allows it (`detection.split_head`), boxes and properties are computed at the peaks only.

    Call with features (batch, rows, columns, channels), and the same with `depth.HALO` cells of zeros around them.
    """

    def __init__(self, head, **options):
        super().__init__(**options)
        self.head = head
        self.halves = tuple(fold_batch_normalization(each) for each in detection.split_head(head) or ())
        if not self.halves:
            self.head = fold_batch_normalization(head)

    def call(self, features, padded):
        if self.halves:
            return detection.decode_at_peaks(*self.halves, features, padded, depth.HALO)
        return detection.decode(self.head(features, training=False))

    def compute_output_spec(self, features, padded):
        """Shapes and types, said here: of photos of any size, JAX can't find out whether they have cells enough."""
        batch, ends = features.shape[0], {"scores": (), "labels": (), "boxes": (4,)}
        ends["properties"] = (self.head(features)["object"].shape[-1],)
        types = dict.fromkeys(ends, "float32") | {"labels": "int32"}
        return {name: keras.KerasTensor((batch, None, *end), types[name]) for name, end in ends.items()}


@dataclass(frozen=True)
class DetectedObject:
    """One object in a photo.

    Args:
        name: Class.
        score: 0 to 1.
        box: (left, top, right, bottom) in pixels of the photo.
        distance_m: Depth of the object's centre along the optical axis. `surface_distance_m` plus the predicted step
            from surface to centre, averaged with `instance_distance_m` by their predicted uncertainties.
        distance_spread_m: Predicted scale of the error of `distance_m`: the scale b of a Laplace distribution, as both
            heads learn it, so the mean of |error| and not its standard deviation, which is sqrt(2) b.
        position_m: (x, y, z) of the centre in camera coordinates: the middle of the box, at `distance_m`.
        surface_distance_m: Depth of the visible surface: mask-weighted median of the depth decoded in the box.
        surface_spread_m: Half the range that holds the middle 68 % of that depth's weight.
        instance_distance_m: Depth of the centre as the detection head alone says.
        dimensions_m: (height, width, length).
        yaw: Rotation about the vertical axis in radians, as in KITTI's labels.
    """

    name: str
    score: float
    box: tuple
    distance_m: float
    distance_spread_m: float
    position_m: tuple
    surface_distance_m: float
    surface_spread_m: float
    instance_distance_m: float
    dimensions_m: tuple
    yaw: float


@dataclass(frozen=True)
class Prediction:
    """What `RoiDepth.predict` returns.

    Args:
        objects: `DetectedObject`, the highest score first.
        depth: (height, width) float32, metres, at the photo's size; 0 where nothing was decoded.
        plan: The `roi.Plan` that was carried out, in cells of the network's image.
        network_size: (height, width) of the image as the network saw it.
        candidates: Everything that was found with a score of at least `WEAKEST`, as arrays ``boxes`` (n, 4) in pixels
            of the photo, ``labels`` and ``scores`` (n,): what average precision wants. Depth is not decoded for it.
    """

    objects: tuple
    depth: np.ndarray
    plan: roi.Plan = field(repr=False)
    network_size: tuple
    candidates: dict = field(repr=False)

    @property
    def head_work(self):
        """Work of the depth head as a share of decoding the full frame, 0 to 1."""
        return self.plan.share


class RoiDepth:
    """From a photo to objects with distances; depth is decoded only inside their boxes.

    `find` and `decode` run the two networks; a class that runs them elsewhere (`export.Exported`) replaces these
    two, and what they need: `photo_focal_length`, `head_work`, `threshold`, `overhead`.

    Args:
        network: A model from :func:`build_network` or :func:`compose`.
        threshold: Objects with a lower score are left out.
        overhead: What a window costs on this machine besides its work, see `roi.plan_windows`; with it the cheapest
            plan is that in time and not in operations. Can be set later, as an attribute.

    Raises:
        ValueError: if it is another network, or its weights are not all finite: it would seem to see nothing.
    """

    def __init__(self, network, threshold=THRESHOLD, overhead=0.0):
        try:
            parts = [network.get_layer(name) for name in ("encoder", "detection_head", "depth_head")]
        except ValueError as error:
            raise ValueError(f"network {network.name!r} is not one of build_network's: {error}") from error
        if not all(np.isfinite(values).all() for values in network.get_weights()):
            raise ValueError(f"network {network.name!r}: its weights hold NaN or infinity; its training has diverged")
        self.network = network
        self.threshold = threshold
        self.overhead = overhead
        self.encoder, self.detection_head, self.depth_head = parts
        self.head_work = depth.HeadWork(self.depth_head)
        inputs = _network_inputs()
        features = fold_batch_normalization(self.encoder)([inputs["image"], inputs["camera"]])
        padded = layers.ZeroPadding2D(depth.HALO, name="pad_once")(features)
        found = DecodePeaks(self.detection_head, name="decode")(features, padded)
        self.detector = keras.Model(inputs, dict(found, features=padded), name="detector")
        self._run_detector = Compiled(self.detector)
        self._decode_windows = WindowDecoder(self.depth_head, depth.HALO)

    @classmethod
    def load(cls, path, threshold=THRESHOLD):
        """Reads weights that `train` has written: a ``.keras`` file, in Keras's safe mode. No code of the file is run.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is damaged or holds another network.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such weights file; `python -m roidepth_lessons train` makes one")
        try:
            _check_archive(path)
            network = keras.saving.load_model(path, compile=False, safe_mode=True)
            return cls(network, threshold)
        except Exception as error:  # Keras, h5py and zipfile raise many kinds for a damaged file
            raise ValueError(f"{path}: not a weights file of this course, or damaged ({error})") from error

    @property
    def photo_focal_length(self):
        """To how many pixels of focal length photos are scaled: :func:`photo_focal_length` of the network."""
        return photo_focal_length(self.network)

    def predict(self, image, camera=None, mode="auto", threshold=None, rescale=True, distinct=True):
        """Finds the objects in a photo and says how far each is.

        Args:
            image: (height, width, 3) uint8, RGB.
            camera: The `Camera`; default: KITTI's field of view, and then distances are right only up to a factor.
            mode: "roi" decodes depth in windows around the objects, "full" in the whole frame, "auto" what is cheaper.
            threshold: Overrides the threshold for the score.
            rescale: Scale the photo to the network's focal length (:func:`photo_focal_length`). False: take it as it
                is, filled up to multiples of 32.
            distinct: Of objects that overlap almost wholly, keep only the most certain one: `detection.distinct`. With
                a threshold of 0 and without that, there is an object for each of the candidates, in their order.

        Returns:
            A `Prediction`. Without any object it has no objects and an empty depth map.

        Raises:
            ValueError: if the image or the mode is not as described.
        """
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        camera = camera or default_camera(_checked_image(image))
        photo, photo_camera, inner = self.prepare(image, camera, rescale)
        candidates, features = self.find(photo, photo_camera)
        strong = candidates["scores"] >= (self.threshold if threshold is None else threshold)
        found = {name: values[strong] for name, values in candidates.items()}
        if distinct:
            once = detection.distinct(metrics.box_iou(found["boxes"], found["boxes"]), found["scores"])
            found = {name: values[once] for name, values in found.items()}
        plan = self.plan(found["boxes"], features.shape[1:3], mode)
        decoded = self.decode(features, plan)
        factor = np.mean(photo_camera.focal_length) / CANONICAL_FOCAL_LENGTH
        objects = _read_objects(found, plan, decoded, photo_camera, factor)
        ratio = np.array([camera.width / inner[1], camera.height / inner[0]])
        objects = tuple(replace(each, box=tuple(_move_boxes(each.box, ratio, camera)[0].tolist())) for each in objects)
        depth_map = _assemble(plan, decoded, photo.shape[:2], factor)[: inner[0], : inner[1]]
        return Prediction(
            objects,
            resize_nearest(depth_map, camera.height, camera.width),
            plan,
            photo.shape[:2],
            dict(
                boxes=_move_boxes(candidates["boxes"], ratio, camera),
                labels=candidates["labels"],
                scores=candidates["scores"],
            ),
        )

    def prepare(self, image, camera, rescale=True):
        """The photo as the network takes it.

        Returns:
            ``(photo, camera, inner)``: (rows, columns, 3) uint8 with sides that are multiples of 32; its `Camera`; and
            the (height, width) of the part that shows the picture: the rest, at the right and the bottom, is grey.
        """
        image = _checked_image(image)
        if (camera.height, camera.width) != image.shape[:2]:
            raise ValueError(
                f"camera is for {camera.height}x{camera.width} pixels, the image has {image.shape[0]}x{image.shape[1]}"
            )
        height, width = image.shape[:2]
        multiple = encoder.SIZE_MULTIPLE
        if rescale:
            width = multiple * max(1, round(width * self.photo_focal_length / camera.focal_length[0] / multiple))
            height = max(1, round(image.shape[0] * width / image.shape[1]))
            if height * width > LARGEST_PHOTO:
                raise ValueError(
                    f"camera: with its focal length of {camera.focal_length[0]:g} pixels the photo would be scaled to "
                    f"{width}x{height} pixels; is it of another photo?"
                )
        if (height, width) != image.shape[:2]:
            image = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
            camera = camera.resized(height, width)
        space = -height % multiple, -width % multiple
        photo = np.pad(image, [(0, space[0]), (0, space[1]), (0, 0)], constant_values=127)
        return photo, camera.cropped(0, 0, *photo.shape[:2]), (height, width)

    def find(self, photo, camera):
        """Encoder and detection head. Returns the candidates as arrays, the best first, and the padded features as a
        tensor of the backend.
        """
        outputs = self._run_detector({"image": photo[None].astype("float32"), "camera": camera.vector[None]})
        features = outputs.pop("features")
        found = {name: ops.convert_to_numpy(values)[0] for name, values in outputs.items()}
        return within_photo(found, *photo.shape[:2]), features

    def detect(self, photo, camera):
        """As :func:`find`, with the padded features as an array."""
        candidates, features = self.find(photo, camera)
        return candidates, ops.convert_to_numpy(features)

    def plan(self, boxes, padded_size, mode="auto"):
        """The windows to decode for these boxes (pixels of the network's image)."""
        rows, columns = (size - 2 * depth.HALO for size in padded_size)
        if mode == "full":
            return roi.full_frame(boxes, rows, columns, self.head_work)
        return roi.plan_windows(boxes, rows, columns, self.head_work, allow_full=mode == "auto", overhead=self.overhead)

    def decode(self, features, plan):
        """The depth head on every window of the plan: a list of (height, width, 3) arrays.

        Raises:
            ValueError: if a window does not lie inside the features.
        """
        rows, columns = (size - 2 * depth.HALO for size in features.shape[1:3])
        windows = [roi.check_window(window, rows, columns) for window in plan.windows]
        return [ops.convert_to_numpy(each)[0] for each in self._decode_windows(features, windows)]


def _check_archive(path):
    """Refuses what isn't Keras's zip format (its older ones may hold code), has more in it, or unpacks to a flood."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(each.filename for each in archive.infolist())
        size = sum(each.file_size for each in archive.infolist())
    if names != sorted(ARCHIVE_MEMBERS):
        raise ValueError(f"wanted {', '.join(ARCHIVE_MEMBERS)} in it, found {', '.join(names[:9]) or 'nothing'}")
    if size > LARGEST_ARCHIVE:
        raise ValueError(f"it unpacks to {size} bytes, more than any network of this course")


def within_photo(found, height, width):
    """Of one photo's peaks, those that are candidates: score at least `WEAKEST`, the box cut to the photo, not empty.

    Args:
        found: What `detection.decode` gives, of one photo, as arrays.
        height, width: Of the photo, in pixels.

    Raises:
        ValueError: if a number is not finite.
    """
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise ValueError(f"found: its {name} hold NaN or infinity; the network's weights are damaged or diverged")
    limits = np.array([[-0.5, -0.5, width - 0.5, height - 0.5]])
    boxes = np.clip(found["boxes"], limits[:, [0, 1, 0, 1]], limits[:, [2, 3, 2, 3]])
    keep = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1) & (found["scores"] >= WEAKEST)
    return {name: values[keep] for name, values in dict(found, boxes=boxes).items()}


def default_camera(image):
    """The camera that is assumed for a photo of which nothing is known: KITTI's field of view."""
    height, width = image.shape[:2]
    return Camera.from_focal_length(DEFAULT_FOCAL_SHARE * width, height, width)


def _checked_image(image):
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"image must be (height, width, 3) uint8, got {image.shape} {image.dtype}")
    return image


def _read_objects(found, plan, decoded, camera, factor):
    """One `DetectedObject` per box, in pixels of the network's image."""
    patches = roi.box_patches(found["boxes"], plan, decoded)
    return [
        _read_object({name: values[index] for name, values in found.items()}, patch, camera, factor)
        for index, patch in enumerate(patches)
    ]


def _read_object(found, patch, camera, factor):
    properties = dict(zip(detection.OBJECT_FIELDS, found["properties"].astype(np.float64), strict=True))
    instance_distance = np.exp(properties["log_distance"]) * factor
    surface, low, high, roi_scale = read_patch(patch, properties["log_distance"])
    roi_distance = max(surface * factor + properties["surface_offset"], 0.1)
    instance_scale = np.exp(float(np.clip(properties["log_scale"], *detection.LOG_SCALE_BOUNDS)))
    weights = np.array([roi_scale, instance_scale]) ** -2.0
    log_distance = np.average(np.log([roi_distance, instance_distance]), weights=weights)
    distance = float(np.exp(log_distance))
    left, top, right, bottom = found["boxes"]
    position = camera.unproject([(left + right) / 2, (top + bottom) / 2], distance)
    alpha = np.arctan2(properties["sin"], properties["cos"])
    yaw = alpha + np.arctan2(position[0], position[2])
    return DetectedObject(
        name=CLASSES[found["labels"]],
        score=float(found["scores"]),
        box=tuple(float(edge) for edge in found["boxes"]),
        distance_m=distance,
        distance_spread_m=float(distance * weights.sum() ** -0.5),
        position_m=tuple(float(value) for value in position),
        surface_distance_m=float(surface * factor),
        surface_spread_m=float((high - low) / 2 * factor),
        instance_distance_m=float(instance_distance),
        dimensions_m=tuple(float(np.exp(properties[f"log_{side}"])) for side in ("height", "width", "length")),
        yaw=float((yaw + np.pi) % (2 * np.pi) - np.pi),
    )


def read_patch(patch, log_distance):
    """From the decoded pixels of a box to one number.

    A pixel counts as much as the mask says that it shows an object, and the less the farther its depth is from what
    the detection head expects: that is how the car behind doesn't speak for the car in front.

    Args:
        patch: (height, width, 3): log depth, log scale, mask logit.
        log_distance: Log depth of the object's centre as the detection head says.

    Returns:
        Weighted median depth, its 16 % and 84 % quantiles (canonical metres), and the scale of the log depth's error.
    """
    log_depth, log_scale, logits = (patch[..., channel].astype(np.float64).ravel() for channel in range(3))
    mask = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    agreement = np.exp(-np.abs(log_depth - log_distance) / 0.15)
    weights = mask * np.maximum(agreement, 1e-6)
    low, middle, high = np.exp(roi.weighted_quantile(log_depth, weights, [0.16, 0.5, 0.84]))
    scale = np.exp(np.clip(roi.weighted_quantile(log_scale, weights), *depth.LOG_SCALE_BOUNDS))
    return middle, low, high, float(scale)


def _move_boxes(boxes, ratio, camera):
    """(n, 4) from pixels of the network's image to pixels of the photo."""
    moved = ((np.reshape(boxes, (-1, 2, 2)) + 0.5) * ratio - 0.5).reshape(-1, 4)
    return np.clip(moved, 0, [camera.width - 1, camera.height - 1] * 2)


def _assemble(plan, decoded, size, factor):
    """Decoded windows pasted into an empty depth map: (height, width) metres, 0 where nothing was decoded."""
    depth_map = np.zeros(size, np.float32)
    for window, values in zip(plan.windows * depth.STRIDE, decoded, strict=True):
        depth_map[window[0] : window[2], window[1] : window[3]] = np.exp(values[..., 0]) * factor
    return depth_map
