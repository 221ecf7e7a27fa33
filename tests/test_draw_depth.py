"""Figures of lesson 05: bars and boxes hold the numbers they should, and the alt text says them."""

from types import SimpleNamespace

import numpy as np
import pytest

from roidepth_lessons import depth, draw, draw_depth, encoder

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


def test_all_maps_have_the_colours_of_one_bar_and_only_the_named_are_outlined():
    photo, near = np.zeros((4, 12, 3), np.uint8), np.full((4, 12), 5.0)
    near[0] = 0
    near[1] = np.nan
    objects = [SimpleNamespace(name="Car", box=(1, 1, 4, 3)), SimpleNamespace(name="Cyclist", box=(5, 0, 7, 3))]
    panels = [("photo", photo, objects), ("near", near, objects), ("far", 20 * near, ())]
    figure = draw_depth.same_scale(panels, "Who is near?", outlined=("Pedestrian", "Cyclist"))
    assert figure.alt_text == (
        "Who is near? 3 panels. photo: a photo. near: from 5.0 m to 5.0 m. far: from 100 m to 100 m. "
        "Outlined: Pedestrian, Cyclist."
    )
    *pictures, bar = figure.axes
    assert [axes.get_title(loc="left") for axes in pictures] == ["photo", "near", "far"]
    scales = [axes.get_images()[0].norm for axes in pictures[1:]]
    assert [(scale.vmin, scale.vmax) for scale in scales] == [(5, 100)] * 2
    hidden = np.ma.getmaskarray(pictures[1].get_images()[0].get_array())
    assert hidden[:2].all()
    assert not hidden[2:].any()
    outlines = [[each.get_bbox().extents.tolist() for each in axes.patches] for axes in pictures]
    assert outlines == [[[5, 0, 7, 3]], [[5, 0, 7, 3]], []]
    assert [text.get_text() for text in bar.get_xticklabels()] == ["5 m", "10 m", "20 m", "50 m", "100 m"]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == ["no label, as in the sky", "Pedestrian or Cyclist"]


def test_panels_of_one_scale_do_not_overlap():
    picture = np.full((64, 192), 7.0)
    figure = draw_depth.same_scale([(str(number), picture, ()) for number in range(3)], "Three")
    first, second, third, bar = (axes.get_window_extent() for axes in figure.axes)
    assert first.x1 < second.x0
    assert third.y1 + 20 < first.y0
    assert bar.y1 < third.y0
    assert first.y1 + 20 < figure.bbox.y1
    assert bar.y0 > 20
    assert first.height / first.width == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="no depth is known"):
        draw_depth.same_scale([("photo", np.zeros((2, 2, 3), np.uint8), ()), ("blank", np.zeros((2, 2)), ())], "None")


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
    assert any(f"{HEIGHT // 4 + 2 * depth.HALO}x{WIDTH // 4 + 2 * depth.HALO}" in text for text in written)


def test_the_names_beside_the_boxes_lie_on_none_of_them(models):
    figure = draw_depth.encoder_decoder(draw_depth.sizes_of(*models, HEIGHT, WIDTH))
    (axes,) = figure.axes
    renderer = figure.canvas.get_renderer()
    boxes = [patch.get_window_extent(renderer) for patch in axes.patches if patch.get_facecolor() == (1, 1, 1, 1)]
    names = [text for text in axes.texts if text.get_text() and "ch." not in text.get_text()]
    assert len(boxes) == 13
    assert {"photo", "depth"} < {text.get_text() for text in names}
    for name in names:
        extent = name.get_window_extent(renderer)
        assert not any(extent.overlaps(box) for box in boxes), name.get_text()
        assert 0 <= extent.x0 < extent.x1 <= figure.bbox.x1, name.get_text()
    colors = {text.get_text().split(":")[0]: text.get_color() for text in names}
    assert colors["encoder"] == draw.LINES[0][0]
    assert colors["encoder"] != colors["neck"] != colors["depth head"]
