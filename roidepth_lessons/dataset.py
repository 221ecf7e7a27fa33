"""From frames to training batches: what the losses of both branches compare with."""

from dataclasses import dataclass, field, replace

import keras
import numpy as np

from . import CLASSES, augmentation, depth, detection, kitti
from .frames import DONT_CARE, UNKNOWN_ANGLE, nearest_points, renumber_instances
from .model import CANONICAL_FOCAL_LENGTH

NEIGHBOUR_OF = {"Van": "Car", "Person_sitting": "Pedestrian"}
"""KITTI's classes that resemble one of ours: finding one is neither right nor wrong."""

DEPTH_STEP = 1 / 256
"""Canonical metres per unit of the stored depth maps."""


@dataclass(frozen=True)
class Example:
    """One frame, ready to be made into targets. Lengths in pixels and canonical metres.

    Args:
        image: (height, width, 3) uint8.
        camera: (4,) focal x, focal y, center u, center v in pixels.
        boxes, labels, distances: (n, 4), (n,), (n,) of the objects in `CLASSES`.
        properties: (n, 7) as `detection.encode_targets` wants them.
        ignored_boxes: (m, 4) DontCare regions, neighbouring classes, and objects of unknown distance.
        depth: (height, width) uint16 in `DEPTH_STEP`; 0 where it is not known.
        instances: (height, width) uint8, i + 1 where the i-th of `boxes` is seen; None where nobody knows.
        sparse: Whether depth and instances are those of LiDAR points: `instances` is known only where `depth` is.
        maps: Labels of tasks of one's own, ``{output: array}``, handed to the loss of that output as they are. What has
            two axes or more, (height, width, ...), is mirrored with the image; numbers per image, (n,), are not.
    """

    image: np.ndarray
    camera: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    distances: np.ndarray
    properties: np.ndarray
    ignored_boxes: np.ndarray
    depth: np.ndarray
    instances: np.ndarray | None
    maps: dict = field(default_factory=dict)
    sparse: bool = False


def make_example(frame, height, width):
    """A `Frame` to an `Example` of height x width pixels, without what has no area.

    An object whose distance is not positive (KITTI's -1000 for "not known", or a centre behind the camera) is neither
    object nor background. A frame without a depth map gets one of its LiDAR points, and if it has labels, each pixel on
    which a point falls is told whose 3D box the point lies in.
    """
    surfaces = {index: kitti.surface_distance(frame, index) for index in range(len(frame.objects))}
    sparse = frame.depth is None and frame.points is not None
    frame = _with_lidar_maps(frame, height, width) if sparse else frame.fitted(height, width)
    scale = CANONICAL_FOCAL_LENGTH / np.mean(frame.camera.focal_length)
    seen = [index for index, each in enumerate(frame.objects) if _has_area(each)]
    rows = [index for index in seen if frame.objects[index].name in CLASSES and frame.objects[index].distance > 0]
    ignored = [
        index
        for index in seen
        if index not in rows and frame.objects[index].name in (*CLASSES, *NEIGHBOUR_OF, DONT_CARE)
    ]
    objects = [frame.objects[index] for index in rows]
    known = np.zeros(frame.size) if frame.depth is None else np.nan_to_num(frame.depth, posinf=0)
    return Example(
        image=frame.image,
        camera=frame.camera.vector,
        boxes=np.array([each.box for each in objects]).reshape(-1, 4),
        labels=np.array([CLASSES.index(each.name) for each in objects], dtype=np.int64),
        distances=np.array([each.distance for each in objects]),
        properties=np.array(
            [_properties(each, surfaces[index], scale) for index, each in zip(rows, objects, strict=True)]
        ).reshape(-1, 7),
        ignored_boxes=np.array([frame.objects[index].box for index in ignored]).reshape(-1, 4),
        depth=np.clip(np.rint(known * scale / DEPTH_STEP), 0, 65535).astype(np.uint16),
        instances=None if frame.instances is None else renumber_instances(frame.instances, rows),
        sparse=sparse,
    )


def _with_lidar_maps(frame, height, width):
    """The fitted frame with depth and instances from its LiDAR points, both 0 where no point falls."""
    in_photo, _ = nearest_points(frame.points, frame.camera)
    points = frame.points[np.sort(in_photo[in_photo >= 0])]  # none of them may fall on the rim that `fitted` adds
    frame = replace(frame, points=points).fitted(height, width)
    nearest, depths = nearest_points(points, frame.camera)
    owner = np.zeros(len(points) + 1, np.uint8)  # the last stands for no point
    for index, each in enumerate(frame.objects):
        owner[:-1][kitti.points_inside(points, each)] = index + 1
    return replace(frame, depth=depths, instances=owner[nearest] if frame.objects else None)


def _has_area(each):
    left, top, right, bottom = each.box
    return right > left and bottom > top


def _properties(each, surface, scale):
    """What KITTI marks as not known, with -1 or -10, becomes NaN."""
    dimensions = np.array(each.dimensions, dtype=np.float64)
    alpha = np.nan if each.alpha == UNKNOWN_ANGLE else each.alpha
    return [
        np.log(each.distance * scale),
        np.nan if surface is None else each.distance - surface,
        *np.log(np.where(dimensions > 0, dimensions, np.nan)),
        np.sin(alpha),
        np.cos(alpha),
    ]


def encode(example):
    """The four target maps of an `Example`, see the two branches' `encode_targets`, and its own `maps`.

    Raises:
        ValueError: if one of `maps` has the name of one of the four.
    """
    rows, columns = (size // detection.STRIDE for size in example.image.shape[:2])
    targets = detection.encode_targets(
        example.boxes,
        example.labels,
        rows,
        columns,
        len(CLASSES),
        example.ignored_boxes,
        example.properties,
        order=example.distances,
    )
    metres = example.depth * np.float32(DEPTH_STEP)
    targets["depth"] = depth.encode_targets(metres, example.instances, example.boxes, sparse=example.sparse)
    taken = sorted(set(targets) & set(example.maps))
    if taken:
        raise ValueError(f"maps: {taken} are targets of detection or depth already; take another name")
    return {**targets, **example.maps}


def flip(example):
    """The mirrored example: image, maps, boxes, camera and angles together."""
    right = example.image.shape[1] - 1

    def mirror(boxes):
        return np.stack([right - boxes[:, 2], boxes[:, 1], right - boxes[:, 0], boxes[:, 3]], axis=1)

    return Example(
        image=example.image[:, ::-1],
        camera=np.array([*example.camera[:2], right - example.camera[2], example.camera[3]], np.float32),
        boxes=mirror(example.boxes),
        labels=example.labels,
        distances=example.distances,
        properties=example.properties * np.array([1, 1, 1, 1, 1, 1, -1]),
        ignored_boxes=mirror(example.ignored_boxes),
        depth=example.depth[:, ::-1],
        instances=None if example.instances is None else example.instances[:, ::-1],
        maps={name: each[:, ::-1] if np.ndim(each) > 1 else each for name, each in example.maps.items()},
        sparse=example.sparse,
    )


def change_light(image, generator):
    """(height, width, 3) uint8 to float32 with another brightness, contrast and tint, within 0 to 255."""
    tint = generator.uniform(0.9, 1.1, size=3) * generator.uniform(0.7, 1.3)
    shift = generator.uniform(-25, 25)
    return np.clip((image - np.float32(110)) * tint.astype(np.float32) + np.float32(110 + shift), 0, 255)


class Batches(keras.utils.PyDataset):
    """Batches of one epoch, in an order that is a function of `seed` and `epoch` alone.

    Args:
        examples: `Example`, all of one size.
        batch_size: Examples per batch; a rest that does not fill a batch is left out.
        seed, epoch: What order and augmentation depend on.
        augment: Whether to mirror and to change the light at random.
        ranges: An `augmentation.Augmentation`, to zoom too and to change the colours as far as it says instead of by
            `change_light`; None to do neither.
        shard: Which shard of a data set the examples are: order and augmentation depend on that, too.

    Raises:
        ValueError: if the examples don't fill one batch, or if there are ranges and nothing is to be augmented.
    """

    def __init__(self, examples, batch_size, seed=0, epoch=0, augment=True, ranges=None, shard=0):
        super().__init__(workers=1, max_queue_size=4)
        if len(examples) < batch_size:
            raise ValueError(f"{len(examples)} examples do not fill one batch of {batch_size}")
        if ranges is not None and not augment:
            raise ValueError("ranges say how far to augment, but augment is False")
        self.examples, self.batch_size, self.augment, self.ranges = examples, batch_size, augment, ranges
        self.seed, self.shard = [seed, epoch], [shard] if shard else []
        count, generator = len(examples), np.random.default_rng([seed, epoch, *([0, shard] if shard else [])])
        self.order = generator.permutation(count) if augment else np.arange(count)

    def __len__(self):
        return len(self.examples) // self.batch_size

    def __getitem__(self, index):
        generator = np.random.default_rng([*self.seed, index, *self.shard])
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        images, cameras, targets = zip(*(self._one(self.examples[each], generator) for each in chosen), strict=True)
        inputs = {"image": np.stack(images), "camera": np.stack(cameras)}
        return inputs, {name: np.stack([each[name] for each in targets]) for name in targets[0]}

    def _one(self, example, generator):
        if not self.augment:
            return example.image.astype(np.float32), example.camera, encode(example)
        if generator.random() < 0.5:
            example = flip(example)
        if self.ranges is None:
            return change_light(example.image, generator), example.camera, encode(example)
        example = augmentation.random_zoom(example, self.ranges, generator)
        image = augmentation.change_colours(example.image, self.ranges, generator)
        return image, example.camera, encode(example)


class JoinedBatches(keras.utils.PyDataset):
    """Batches that take an equal part from each of several shards, one part after the other.

    One process that joins all shards sees the batches that several processes, each with some of them, see together.

    Args:
        parts: A `Batches` for each shard, in order.
        length: How many batches: as many as the shortest of *all* shards allows, those of other processes included.

    Raises:
        ValueError: if a part has fewer batches.
    """

    def __init__(self, parts, length):
        super().__init__(workers=1, max_queue_size=4)
        if any(len(part) < length for part in parts):
            raise ValueError(f"wanted {length} batches of each part, they have {[len(part) for part in parts]}")
        self.parts, self.length = parts, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *(part[index] for part in self.parts))
