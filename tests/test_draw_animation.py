"""The animation: a file that Pillow reads back, written picture by picture, and pictures of one size."""

import doctest
import io
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from roidepth_lessons import draw_animation


def pictures(count, height=20, width=31):
    """Smooth, for a lossy format: every picture of its own brightness, brighter to the right."""
    ramp = np.linspace(0, 60, width)[None, :, None]
    return [np.broadcast_to(ramp + 170 * i / count, (height, width, 3)).astype(np.uint8) for i in range(count)]


def written(shown, rate=10):
    file = io.BytesIO()
    animation = draw_animation.AnimatedWebp(file, rate)
    for picture in shown:
        animation.add(picture)
    animation.finish()
    return file


def read(file):
    with Image.open(file) as image:
        frames, milliseconds = [], []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            milliseconds.append(image.info["duration"])
        return frames, milliseconds, image.info["loop"]


@pytest.mark.parametrize("size", [(20, 31), (17, 16), (1, 1)])
def test_pillow_reads_every_picture_in_order(size):
    shown = pictures(7, *size)
    frames, milliseconds, loop = read(written(shown))
    assert len(frames) == 7
    for frame, picture in zip(frames, shown, strict=True):
        assert frame.shape == picture.shape
        assert np.abs(frame.astype(int) - picture).mean() < 4
    assert milliseconds == [100] * 7
    assert loop == 0


def test_a_long_sequence_ends_on_time():
    _, milliseconds, _ = read(written(pictures(7), rate=30))
    assert sum(milliseconds) == 233  # 7 / 30 s, to the millisecond
    assert set(milliseconds) == {33, 34}


def test_the_file_says_its_length_and_is_whole_chunks():
    data = written(pictures(3)).getvalue()
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WEBP"
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    place, names = 12, []
    while place < len(data):
        name, length = struct.unpack("<4sI", data[place : place + 8])
        names.append(name)
        assert length % 2 == 0
        if name == b"ANMF":  # left and top, width - 1, height - 1: three bytes each
            numbers = [int.from_bytes(data[place + 8 + 3 * i :][:3], "little") for i in range(4)]
            assert numbers == [0, 0, 30, 19]
        place += 8 + length
    assert place == len(data)
    assert names == [b"VP8X", b"ANIM", b"ANMF", b"ANMF", b"ANMF"]


def test_every_picture_is_written_at_once():
    file = io.BytesIO()
    animation = draw_animation.AnimatedWebp(file, 10)
    lengths = []
    for picture in pictures(4):
        animation.add(picture)
        lengths.append(file.tell())
    assert lengths == sorted(set(lengths))
    assert all(np.diff(lengths) > 24)


def test_wrong_pictures_and_rates(monkeypatch):
    for rate in (0, -1, float("nan"), 2000):
        with pytest.raises(ValueError, match="frames_per_second"):
            draw_animation.AnimatedWebp(io.BytesIO(), rate)
    animation = draw_animation.AnimatedWebp(io.BytesIO(), 10)
    with pytest.raises(ValueError, match="at least one picture"):
        animation.finish()
    with pytest.raises(ValueError, match="uint8"):
        animation.add(np.zeros((4, 4, 3)))
    animation.add(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"first picture has shape \(4, 4, 3\), number 1 has \(4, 5, 3\)"):
        animation.add(np.zeros((4, 5, 3), np.uint8))
    monkeypatch.setattr(draw_animation, "LARGEST_FILE", 100)
    with pytest.raises(ValueError, match="4 GB"):
        animation.add(np.zeros((4, 4, 3), np.uint8))


def test_its_example_is_right():
    outcome = doctest.testmod(draw_animation)
    assert outcome.attempted >= 4
    assert outcome.failed == 0


CAR = SimpleNamespace(name="Car", box=(10, 5, 30, 18), distance_m=12.0, position_m=(1.0, 1.0, 12.0),
                      distance_spread_m=1.0)  # fmt: skip


@pytest.mark.parametrize("size", [(375, 1242), (100, 100), (120, 60)])
def test_photos_of_all_shapes_give_pictures_of_one_size(size):
    image = np.full((*size, 3), (255, 0, 0), np.uint8)
    figure = draw_animation.photo_and_above(image, [CAR], 640, "000007.png", panel_shape=(375, 1242))
    picture = draw_animation.pixels_of(figure)
    first = draw_animation.photo_and_above(np.zeros((375, 1242, 3), np.uint8), [], 640)
    assert picture.shape == draw_animation.pixels_of(first).shape
    assert picture.shape[1] == 640
    rows, columns = np.nonzero((picture == (255, 0, 0)).all(axis=-1))
    seen = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert seen[1] / seen[0] == pytest.approx(size[1] / size[0], rel=0.05)  # whole, and not stretched
    assert columns.max() < 0.7 * 640
    assert figure.alt_text.startswith("000007.png. Road photo with 1 object: Car at 12 m.")
    assert "Car 12 m ahead, 1 m to the right" in figure.alt_text


def test_a_width_is_kept():
    figure = draw_animation.photo_and_above(np.zeros((60, 80, 3), np.uint8), [CAR], 1003)
    assert draw_animation.pixels_of(figure).shape[1] == 1003
