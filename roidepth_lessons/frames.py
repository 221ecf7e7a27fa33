"""`Frame`: one road photo with everything that is known about it. The record that flows through the whole course."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from .camera import Calibration, Camera, resize_nearest
from .world import box_corners

DONT_CARE = "DontCare"
"""The class of regions in which nobody labelled anything: neither object nor background."""
UNKNOWN_ANGLE = -10.0
UNKNOWN_LOCATION = (-1000.0, -1000.0, -1000.0)
"""What KITTI writes where an object's angle or place is not known."""


@dataclass(frozen=True)
class RoadObject:
    """One labelled object, with the fields of a row in a KITTI label file.

    Args:
        name: "Car", "Pedestrian", "Cyclist", "DontCare" or another of KITTI's classes.
        box: (left, top, right, bottom) in pixels.
        truncation: 0 (wholly inside the image) to 1; -1 unknown.
        occlusion: 0 fully visible, 1 partly, 2 largely occluded, 3 unknown; -1 for DontCare.
        alpha: Observation angle in radians: `yaw` seen along the ray to the object.
        dimensions: (height, width, length) in metres.
        location: (x, y, z) of the centre of the box's **bottom** face, camera coordinates, metres.
        yaw: Rotation about the camera's y axis in radians (KITTI's ``rotation_y``); 0 points along x.
        score: Confidence, for a detection; None for a label.
    """

    name: str
    box: tuple
    truncation: float = -1.0
    occlusion: int = -1
    alpha: float = UNKNOWN_ANGLE
    dimensions: tuple = (-1.0, -1.0, -1.0)
    location: tuple = UNKNOWN_LOCATION
    yaw: float = UNKNOWN_ANGLE
    score: float | None = None

    @property
    def distance(self):
        """Depth of the box centre along the optical axis in metres: the label's z."""
        return self.location[2]

    @property
    def corners(self):
        """(8, 3) corners of the 3D box in metres: the four of the bottom face, then the four of the top face."""
        return box_corners(self.location, self.dimensions, self.yaw)


@dataclass(frozen=True)
class Frame:
    """One image and what is known about it; whatever is not known is None.

    Args:
        name: Identifier, e.g. "000042".
        image: (height, width, 3) uint8, RGB.
        camera: The camera that took it.
        objects: Labels, DontCare regions included.
        depth: (height, width) float32, metres along the optical axis; 0 where it is not known.
        instances: (height, width) uint8; 0 for no object, i + 1 where ``objects[i]`` is what the pixel shows.
        road: (height, width) bool, True on the road.
        points: (n, 3) float32, LiDAR points in camera coordinates, metres.
        calibration: The chain from LiDAR to pixels of the *original* image, if the frame came from files.
    """

    name: str
    image: np.ndarray
    camera: Camera
    objects: tuple = ()
    depth: np.ndarray | None = None
    instances: np.ndarray | None = None
    road: np.ndarray | None = None
    points: np.ndarray | None = None
    calibration: Calibration | None = None

    def __post_init__(self):
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                f"frame {self.name}: image must be (height, width, 3) uint8, got {self.image.shape} {self.image.dtype}"
            )
        size = self.image.shape[:2]
        if (self.camera.height, self.camera.width) != size:
            raise ValueError(
                f"frame {self.name}: the camera is for {self.camera.height}x{self.camera.width} pixels, "
                f"the image has {size[0]}x{size[1]}"
            )
        for what in ("depth", "instances", "road"):
            array = getattr(self, what)
            if array is not None and array.shape != size:
                raise ValueError(f"frame {self.name}: {what} has shape {array.shape}, the image {size}")

    @property
    def size(self):
        """(height, width) in pixels."""
        return self.image.shape[:2]

    def select(self, *names):
        """The objects of these classes, as a list."""
        return [each for each in self.objects if each.name in names]

    def with_lidar_depth(self):
        """The same frame with `depth` made from its LiDAR points: sparse, 0 where no point falls."""
        if self.points is None:
            raise ValueError(f"frame {self.name} has no LiDAR points to make a depth map from")
        return replace(self, depth=depth_map(self.points, self.camera))

    def flipped(self):
        """The mirrored frame: image, camera, boxes, places, yaw and maps together."""
        right = self.camera.width - 1

        def flip_object(each):
            left_edge, top, right_edge, bottom = each.box
            flipped = replace(each, box=(right - right_edge, top, right - left_edge, bottom))
            if tuple(each.location) == UNKNOWN_LOCATION:
                return flipped
            x, y, z = each.location
            return replace(flipped, location=(-x, y, z), yaw=_mirror_angle(each.yaw), alpha=_mirror_angle(each.alpha))

        return replace(
            self,
            image=np.ascontiguousarray(self.image[:, ::-1]),
            camera=self.camera.flipped(),
            objects=tuple(flip_object(each) for each in self.objects),
            points=None if self.points is None else self.points * np.array([-1, 1, 1], dtype=np.float32),
            calibration=None,
            **{
                what: None if (array := getattr(self, what)) is None else np.ascontiguousarray(array[:, ::-1])
                for what in ("depth", "instances", "road")
            },
        )

    def fitted(self, height, width):
        """The whole picture in another size: scaled evenly until it fits, the rest filled with grey at the
        right and the bottom. The camera and the boxes move along; depth keeps its values in metres.
        """
        scale = min(height / self.size[0], width / self.size[1])
        inner = max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))
        if inner == self.size and inner == (height, width):
            return self
        ratio = np.array([inner[1] / self.size[1], inner[0] / self.size[0]])

        def move_box(box):
            return tuple(((np.reshape(box, (2, 2)) + 0.5) * ratio - 0.5).ravel().tolist())

        def fill(array, value):
            space = [(0, height - inner[0]), (0, width - inner[1])] + [(0, 0)] * (array.ndim - 2)
            return np.pad(array, space, constant_values=value)

        image = np.asarray(Image.fromarray(self.image).resize(inner[::-1], Image.Resampling.BILINEAR))
        return replace(
            self,
            image=fill(image, 127),
            camera=self.camera.resized(*inner).cropped(0, 0, height, width),
            objects=tuple(replace(each, box=move_box(each.box)) for each in self.objects),
            depth=None if self.depth is None else fill(_resize_depth(self.depth, *inner), 0),
            instances=None if self.instances is None else fill(resize_nearest(self.instances, *inner), 0),
            road=None if self.road is None else fill(resize_nearest(self.road, *inner), False),
        )


def depth_map(points, camera):
    """LiDAR points to a sparse depth map; where several points fall on a pixel, the nearest counts.

    Args:
        points: (n, 3) in camera coordinates, metres.
        camera: The `Camera`.

    Returns:
        (height, width) float32, metres; 0 where no point falls.
    """
    return nearest_points(points, camera)[1]


def nearest_points(points, camera):
    """Which LiDAR point a camera sees at each pixel: of those that fall on it, the nearest.

    Args:
        points: (n, 3) in camera coordinates, metres.
        camera: The `Camera`.

    Returns:
        ``(nearest, depth)``: (height, width) int64, indices into `points`, -1 where no point falls; and what
        :func:`depth_map` returns.
    """
    pixels, depth = camera.project(points)
    columns, rows = np.rint(pixels).T
    seen = (depth > 0) & (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    index = np.flatnonzero(seen)
    index = index[np.argsort(-depth[index], kind="stable")]  # the nearest is written last and stays
    nearest = np.full((camera.height, camera.width), -1, np.int64)
    sparse = np.zeros(nearest.shape, np.float32)
    # Cast only what lies inside: beside the camera, u and v may be too large for an integer.
    target = rows[index].astype(np.int64), columns[index].astype(np.int64)
    nearest[target], sparse[target] = index, depth[index]
    return nearest, sparse


def _mirror_angle(angle):
    if angle == UNKNOWN_ANGLE:
        return angle
    return float((2 * np.pi - angle) % (2 * np.pi) - np.pi)


def _resize_depth(depth, height, width):
    """Every known pixel moves to its new place; the nearest wins. A dense map stays dense when it is enlarged."""
    if height >= depth.shape[0] and width >= depth.shape[1]:
        return resize_nearest(depth, height, width)
    rows, columns = np.nonzero(depth > 0)
    moved = np.full((height, width), np.inf, dtype=np.float32)
    # The pixel's centre, (row + 0.5) * scale, in whole numbers.
    target = ((2 * rows + 1) * height // (2 * depth.shape[0]), (2 * columns + 1) * width // (2 * depth.shape[1]))
    np.minimum.at(moved, target, depth[rows, columns])
    return np.where(np.isfinite(moved), moved, 0).astype(np.float32)


def renumber_instances(instances, kept):
    """An instance map, (height, width) uint8, of which only some objects are left.

    Args:
        instances: 0 is background, n the object with index n - 1.
        kept: Indices of the objects that stay, in their new order; all others become background.
    """
    new_number = np.zeros(256, np.uint8)
    new_number[np.array(kept, dtype=int) + 1] = np.arange(len(kept)) + 1
    return new_number[instances]
