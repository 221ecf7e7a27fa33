"""Figures of lesson 05: bars and boxes hold the numbers they should, and the alt text says them."""

import numpy as np
import pytest

from roidepth_lessons import depth, draw_depth, encoder

HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module")
def models():
    return encoder.build_encoder((4, 5, 6, 7, 8), (1, 2, 1, 1), 9), depth.build_depth_head(9, (3, 2))


def test_both_histograms_count_every_known_pixel_once():
    metres = np.random.default_rng(0).uniform(2, 120, size=(30, 40))
    metres[0] = 0
    metres[1] = np.nan
    figure = draw_depth.depth_distribution(metres, bins=17)
    for axes in figure.axes:
        assert len(axes.patches) == 17
        assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(100)
    # Bars of equal width in metres here, of equal ratio there.
    ends = [[(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches] for axes in figure.axes]
    assert np.ptp([end - start for start, end in ends[0]]) < 1e-9
    assert np.ptp([end / start for start, end in ends[1]]) < 1e-9
    known = metres[2:]
    assert f"of {known.size} depths" in figure.alt_text
    assert f"nearer than {np.median(known):.0f} m" in figure.alt_text


def test_one_depth_alone_can_be_drawn_and_none_is_refused():
    assert "of 1 depths" in draw_depth.depth_distribution([7.0]).alt_text
    with pytest.raises(ValueError, match="no depth is known"):
        draw_depth.depth_distribution([0.0, np.nan, np.inf])


def test_sizes_are_those_of_what_comes_out(models):
    shared, head = models
    sizes = draw_depth.sizes_of(shared, head, HEIGHT, WIDTH)
    features = shared([np.zeros((1, HEIGHT, WIDTH, 3), "float32"), np.array([[100, 100, 48, 32]], "float32")])
    assert sizes["neck"][-1][2] == tuple(features.shape[1:])
    values = depth.pad_features(features)
    shapes = [tuple(values.shape[1:])]
    for layer in head.layers[1:]:
        values = layer(values)
        shapes.append(tuple(values.shape[1:]))
    assert [shape for _, _, shape in sizes["depth head"]] == shapes
    for part in ("encoder", "neck"):
        for _, stride, (rows, columns, _) in sizes[part]:
            assert (rows, columns) == (HEIGHT // stride, WIDTH // stride)
    assert [shape[2] for _, _, shape in sizes["encoder"]] == [4, 5, 6, 7, 8]
    assert sizes["depth head"][-1][1] == 1


def test_every_size_is_written_and_said(models):
    sizes = draw_depth.sizes_of(*models, HEIGHT, WIDTH)
    figure = draw_depth.encoder_decoder(sizes)
    written = [text.get_text() for text in figure.axes[0].texts]
    for part in ("encoder", "neck"):
        for _, stride, (rows, columns, channels) in sizes[part]:
            assert f"{rows}x{columns}\n{channels} ch." in written
            assert f"{part} stride {stride}: {rows}x{columns}x{channels}" in figure.alt_text
    assert f"photo stride 1: {HEIGHT}x{WIDTH}x3" in figure.alt_text
    assert f"depth head stride 1: {HEIGHT}x{WIDTH}x3" in figure.alt_text
    assert "depth head stride 2: 32x48x12" in figure.alt_text
