r"""Pictures in motion: what was found in each frame, and the file that shows one frame after the other.

The file is an animated WebP, which browsers show: 30 real frames took 0.9 MB, as a GIF of 256 colours 3.4 MB, as an
animated PNG 7.1 MB. It is written frame by frame, so that a long sequence needs no more memory than a short one;
Pillow's own writer holds all frames.
Format: "WebP Container Specification", https://developers.google.com/speed/webp/docs/riff_container.

>>> import io
>>> file = io.BytesIO()
>>> animation = AnimatedWebp(file, frames_per_second=10)
>>> for grey in (0, 128, 255):
...     animation.add(np.full((16, 24, 3), grey, np.uint8))
>>> animation.finish()
>>> with Image.open(file) as image:
...     image.n_frames, image.size, image.is_animated
(3, (24, 16), True)
"""

import io
import struct

import numpy as np
from PIL import Image

from . import draw

VIEW_FROM_ABOVE = 0.3
"""Share of the width."""
TITLE = 0.3
"""Inches above the photo."""
LARGEST_FILE = 2**32 - 2
"""Bytes, as the format has it."""


def photo_and_above(image, objects, width, title=None, panel_shape=None, max_distance=60):
    """A photo with boxes and distances, and beside it the scene from above, in a size that stays the same.

    Args:
        image: (height, width, 3) uint8.
        objects: The network's objects, as for `draw.photo_with_objects` and `draw.birds_eye_view`.
        width: Of the picture, in pixels; from 640 on, there is room for what is written.
        title: Text above the photo.
        panel_shape: (height, width) of the photo that the picture's layout is made for; default: of this photo. One of
            another shape is shown whole, in the same place.
        max_distance: Metres ahead that the view from above shows, the same in all pictures of a sequence.

    Returns:
        Figure.

    Raises:
        ValueError: if the image has another shape or type, or a box is not finite.
    """
    image, objects = draw._checked_image(image), draw._without_regions(objects)
    across = width / draw.DOTS_PER_INCH
    side = VIEW_FROM_ABOVE * across
    panel_width = across - side - 0.1
    rows, columns = panel_shape or image.shape[:2]
    panel_height = panel_width * min(rows / columns, 0.75)
    total = max(panel_height + TITLE + 0.1, 0.9 * side)
    figure = draw._new_figure(across, total)
    photo_width, photo_height = draw._fitting_size(image.shape, panel_width, panel_height)
    left = 0.05 + (panel_width - photo_width) / 2
    axes = draw._add_axes(figure, left, total - TITLE - photo_height, photo_width, photo_height)
    draw._draw_photo(axes, image, objects)
    axes.set_title(title or "", fontsize=10, loc="left", pad=4)
    above = draw._add_axes(figure, across - side + 0.5, 0.48, side - 0.6, total - 0.6)
    draw._draw_from_above(above, objects, (), max_distance)
    figure.alt_text = (
        f"{draw._sentence(title)}Road photo with {draw._objects_in_words(objects)} "
        f"At the side: {draw._above_in_words(objects, (), max_distance)}"
    )
    return figure


def pixels_of(figure):
    """A figure as (height, width, 3) uint8."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


class AnimatedWebp:
    """An animated WebP that is written picture by picture and shown again and again.

    Args:
        file: A binary file that can be read by nobody before :meth:`finish`, empty, open to write and to seek in.
        frames_per_second: How fast it is shown.
        quality: 0 to 100, of the lossy compression.

    Raises:
        ValueError: if `frames_per_second` is not above 0 or faster than a picture a millisecond.
    """

    def __init__(self, file, frames_per_second, quality=80):
        if not 0 < frames_per_second <= 1000:
            raise ValueError(f"frames_per_second must be above 0 and at most 1000, got {frames_per_second}")
        self._file, self._rate, self._quality = file, frames_per_second, quality
        self._shape, self._count, self._length = None, 0, 0

    def add(self, picture):
        """Writes the next picture, (height, width, 3) uint8.

        Raises:
            ValueError: if it has another size than the first, or the file would be larger than the format allows.
        """
        picture = draw._checked_image(picture)
        if self._shape is None:
            self._shape = picture.shape
            height, width = picture.shape[:2]
            self._write(b"RIFF" + _number(0, 4) + b"WEBP")  # the length is written at the end
            self._write(_chunk(b"VP8X", bytes([ANIMATED, 0, 0, 0]) + _number(width - 1, 3) + _number(height - 1, 3)))
            self._write(_chunk(b"ANIM", b"\xff\xff\xff\xff" + _number(0, 2)))  # white behind; 0: for ever
        elif picture.shape != self._shape:
            raise ValueError(f"the first picture has shape {self._shape}, number {self._count} has {picture.shape}")
        height, width = picture.shape[:2]
        # Rounded so that a long sequence ends on time: 30 a second are 33, 34, 33 ms.
        start, end = (round(1000 * number / self._rate) for number in (self._count, self._count + 1))
        place = _number(0, 6) + _number(width - 1, 3) + _number(height - 1, 3)
        frame = place + _number(end - start, 3) + bytes([REPLACE]) + _bitstream(picture, self._quality)
        if self._length + len(frame) + 16 > LARGEST_FILE:
            raise ValueError(
                f"an animation can't be larger than 4 GB: stop before picture {self._count}, or less width"
            )
        self._write(_chunk(b"ANMF", frame))
        self._count += 1

    def finish(self):
        """Writes what the beginning of the file says about its length.

        Raises:
            ValueError: if there was no picture.
        """
        if not self._count:
            raise ValueError("an animation needs at least one picture")
        self._file.seek(4)
        self._file.write(_number(self._length - 8, 4))
        self._file.seek(0, io.SEEK_END)

    def _write(self, data):
        self._file.write(data)
        self._length += len(data)


ANIMATED = 0b10
"""The flag of the header that says so."""
REPLACE = 0b10
"""The flag of a picture that stands in the place of what was there, without blending."""


def _number(value, size):
    return value.to_bytes(size, "little")


def _chunk(name, data):
    return name + _number(len(data), 4) + data  # all that is written here has an even length, as it must


def _bitstream(picture, quality):
    """The compressed picture with its chunk's header: all of a WebP file behind the file's own."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", quality=quality)
    data = buffer.getvalue()
    name, length = struct.unpack("<4sI", data[12:20])
    if name != b"VP8 ":
        raise ValueError(f"Pillow wrote a WebP chunk {name!r} of {length} bytes in place of a plain picture")
    return data[12:]
