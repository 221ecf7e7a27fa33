"""The pinhole camera and the KITTI calibration chain: from metres to pixels and back.

Camera coordinates are KITTI's rectified ones: x to the right, y down, z forward, in metres. Pixel coordinates are
``(u, v)`` = (column, row); the centre of the top left pixel is ``(0, 0)``, as in KITTI's files and in OpenCV.

>>> camera = Camera.from_focal_length(240.0, height=128, width=416)
>>> pixels, depth = camera.project([[2.0, 1.65, 20.0]])
>>> camera.unproject(pixels, depth).round(6).tolist()
[[2.0, 1.65, 20.0]]
"""

from dataclasses import dataclass, field

import numpy as np

LARGEST_NUMBER = 1e9
"""Of a projection matrix: beyond, sums in single precision say nothing any more."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: a 3x4 projection matrix and the size of its image.

    Args:
        projection: (3, 4) matrix that takes homogeneous points in metres to homogeneous pixels. KITTI's ``P2``.
            Its last column holds the small shift between the reference camera and this one.
        height, width: Size of the image in pixels.

    Raises:
        ValueError: if the matrix is not (3, 4), not finite, has a number beyond `LARGEST_NUMBER` or no focal lengths of
            at least a millionth of a pixel, or if its last row is not (0, 0, 1, shift), as it must be for the depth to
            be z; if the size is not positive.
    """

    projection: np.ndarray
    height: int
    width: int

    def __post_init__(self):
        projection = np.array(self.projection, dtype=np.float64)
        if projection.shape != (3, 4) or not np.isfinite(projection).all():
            raise ValueError(f"projection must be a finite (3, 4) matrix, got shape {projection.shape}: {projection}")
        if not (1e-6 <= projection.diagonal()[:2]).all() or np.abs(projection).max() > LARGEST_NUMBER:
            raise ValueError(
                f"focal lengths must be positive and nothing above {LARGEST_NUMBER:g} pixels, got a focal length of "
                f"{projection[0, 0]} and {projection[1, 1]} in {projection}"
            )
        if not np.allclose(projection[2, :3], [0, 0, 1]):
            raise ValueError(f"the last row of projection must begin with 0 0 1, got {projection[2]}")
        if self.height < 1 or self.width < 1:
            raise ValueError(f"image size must be positive, got height {self.height} and width {self.width}")
        projection.setflags(write=False)
        object.__setattr__(self, "projection", projection)

    @classmethod
    def from_focal_length(cls, focal_length, height, width):
        """A camera that looks straight ahead, with its principal point in the middle of the image."""
        center = (width - 1) / 2, (height - 1) / 2
        return cls([[focal_length, 0, center[0], 0], [0, focal_length, center[1], 0], [0, 0, 1, 0]], height, width)

    @property
    def focal_length(self):
        """(x, y) in pixels."""
        return self.projection[0, 0], self.projection[1, 1]

    @property
    def center(self):
        """The principal point (u, v) in pixels."""
        return self.projection[0, 2], self.projection[1, 2]

    @property
    def vector(self):
        """(focal x, focal y, center u, center v) as float32: what the network is told about the camera."""
        return np.array([*self.focal_length, *self.center], dtype=np.float32)

    def project(self, points):
        """Points in metres to pixels.

        Args:
            points: (..., 3) x, y, z in metres.

        Returns:
            ``(pixels, depth)``: (..., 2) and (...). Depth is the distance along the optical axis in metres; where
            it is not positive the point lies behind the camera and its pixel is NaN.
        """
        points = np.asarray(points, dtype=np.float64)
        homogeneous = points @ self.projection[:, :3].T + self.projection[:, 3]
        depth = homogeneous[..., 2]
        safe_depth = np.where(depth > 0, depth, np.nan)
        return homogeneous[..., :2] / safe_depth[..., None], depth

    def unproject(self, pixels, depth):
        """The inverse of :meth:`project`: (..., 2) pixels and (...) depths in metres to (..., 3) points in metres."""
        pixels = np.asarray(pixels, dtype=np.float64)
        depth = np.asarray(depth, dtype=np.float64)[..., None]
        homogeneous = np.concatenate([pixels * depth, depth], axis=-1)
        return (homogeneous - self.projection[:, 3]) @ np.linalg.inv(self.projection[:, :3]).T

    def resized(self, height, width):
        """The camera of the same picture, resized. Pixel (u, v) moves to ((u + 0.5) * scale - 0.5, ...)."""
        scale_x, scale_y = width / self.width, height / self.height
        resize = np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]])
        return Camera(resize @ self.projection, height, width)

    def cropped(self, top, left, height, width):
        """The camera of the part of the picture that starts at row `top`, column `left`. Negative values pad."""
        crop = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
        return Camera(crop @ self.projection, height, width)

    def flipped(self):
        """The camera of the mirrored picture, for a world whose x axis is mirrored too."""
        mirror_pixels = np.array([[-1, 0, self.width - 1], [0, 1, 0], [0, 0, 1]])
        mirror_world = np.diag([-1.0, 1.0, 1.0, 1.0])
        return Camera(mirror_pixels @ self.projection @ mirror_world, self.height, self.width)


def resize_nearest(array, height, width):
    """A map (rows, columns, ...) in another size, as :meth:`Camera.resized` moves pixels; no value is made up."""
    rows = ((np.arange(height) + 0.5) * array.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * array.shape[1] / width).astype(np.int64)
    return array[rows[:, None], columns]


@dataclass(frozen=True)
class Calibration:
    """The KITTI calibration chain: LiDAR -> reference camera -> rectified camera -> pixels.

    Args:
        projection: (3, 4), ``P2``.
        rectification: (3, 3), ``R0_rect``.
        velodyne_to_camera: (3, 4), ``Tr_velo_to_cam``.
    """

    projection: np.ndarray
    rectification: np.ndarray = field(default_factory=lambda: np.eye(3))
    velodyne_to_camera: np.ndarray = field(
        default_factory=lambda: np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27]])
    )

    def camera(self, height, width):
        """The camera behind an image of this size."""
        return Camera(self.projection, height, width)

    def points_from_velodyne(self, points):
        """(..., 3) LiDAR points (x forward, y left, z up) to rectified camera coordinates, in metres."""
        transform = np.asarray(self.velodyne_to_camera, dtype=np.float64)
        return (np.asarray(points, dtype=np.float64) @ transform[:, :3].T + transform[:, 3]) @ np.transpose(
            self.rectification
        )

    def points_to_velodyne(self, points):
        """The inverse of :meth:`points_from_velodyne`."""
        transform = np.asarray(self.velodyne_to_camera, dtype=np.float64)
        reference = np.asarray(points, dtype=np.float64) @ np.linalg.inv(self.rectification).T
        return (reference - transform[:, 3]) @ np.linalg.inv(transform[:, :3]).T
