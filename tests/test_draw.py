"""Figures: alt text that says what is shown, colours that survive, nothing shown twice, nothing half-written."""

import base64
import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from roidepth_lessons import draw
from roidepth_lessons.frames import RoadObject


def found(name="Car", distance=23.4, box=(100, 40, 160, 80), side=2.0, spread=1.5):
    return SimpleNamespace(
        name=name, score=0.9, box=box, distance_m=distance, distance_spread_m=spread, position_m=(side, 1.0, distance)
    )


def street():
    rows = np.linspace(60, 190, 128).astype(np.uint8)
    return np.repeat(np.repeat(rows[:, None, None], 416, axis=1), 3, axis=2)


OBJECTS = [
    found(),
    found("Pedestrian", 7.26, (200, 30, 220, 90), side=-3.0),
    found("Cyclist", 41.2, (300, 50, 315, 75), side=0.1),
]
TRUTH = RoadObject("Car", (100, 40, 160, 80), dimensions=(1.5, 1.6, 4.0), location=(2.0, 1.65, 24.0), yaw=1.6)
REGION = RoadObject("DontCare", (0, 0, 30, 30))


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


def window_of(axes, box):
    """The rows and columns of the rendered picture that a box of the photo covers."""
    (left, bottom), (right, top) = axes.transData.transform([(box[0], box[3]), (box[2], box[1])])
    height = round(axes.figure.bbox.height)
    return slice(round(height - top), round(height - bottom)), slice(round(left), round(right))


def linear(color):
    color = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ rgb / [0.9505, 1.0, 1.089]
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# Machado, Oliveira and Fernandes, 2009, severity 1, for linear RGB; the last one is a grey printer.
SEEN_BY = {
    "everyone": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    "grey printer": [[0.2126, 0.7152, 0.0722]] * 3,
}


CLASS_COLORS = [style["color"] for style in draw.STYLES.values()]
LINE_COLORS = [color for color, _, _ in draw.LINES]


def smallest_gap(colors, eye):
    """How far apart the two most alike colours are for an eye: CIE 1976, about 2.3 is just noticeable."""
    seen = [lab(np.clip(np.array(SEEN_BY[eye]) @ linear(color), 0, 1)) for color in colors]
    return min(np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i])


@pytest.mark.parametrize("eye", SEEN_BY)
def test_class_and_line_colors_stay_apart(eye):
    assert smallest_gap(CLASS_COLORS, eye) > (12 if eye == "grey printer" else 30)
    assert smallest_gap(LINE_COLORS, eye) > (11 if eye == "grey printer" else 20)


@pytest.mark.parametrize(
    ("eye", "pair"),
    [
        ("protanopia", ["#006600", "#FF0000"]),
        ("deuteranopia", ["#00CC00", "#FF6633"]),
        ("tritanopia", ["#00FF00", "#66FF99"]),
        ("grey printer", ["#009900", "#CC00FF"]),
    ],
)
def test_colors_that_an_eye_confuses_are_found_out(eye, pair):
    assert smallest_gap(pair, "everyone") > 50
    assert smallest_gap(pair, eye) < 6
    # Matplotlib's own first six would not do.
    assert smallest_gap(["#1F77B4", "#FF7F0E", "#2CA02C", "#D62728", "#9467BD", "#8C564B"], eye) < 18


def test_lab_is_that_of_the_standard():
    """White, black and pure red of sRGB, as CIE L*a*b* tables have them."""
    np.testing.assert_allclose(lab(linear("#FFFFFF")), [100, 0, 0], atol=0.05)
    np.testing.assert_allclose(lab(linear("#000000")), [0, 0, 0], atol=0.05)
    np.testing.assert_allclose(lab(linear("#FF0000")), [53.24, 80.09, 67.20], atol=0.05)


def test_classes_differ_without_color():
    looks = [*draw.STYLES.values(), draw.OTHER_STYLE]
    assert len({str(look["line"]) for look in looks}) == len({look["marker"] for look in looks}) == 4
    assert len({str(line) for _, line, _ in draw.LINES}) == len({mark for _, _, mark in draw.LINES}) == len(draw.LINES)


def test_black_text_on_class_colors_is_readable():
    """Contrast of at least 4.5 to 1, WCAG 2 level AA."""
    for look in [*draw.STYLES.values(), draw.OTHER_STYLE]:
        brightness = np.array([0.2126, 0.7152, 0.0722]) @ linear(look["color"])
        assert (brightness + 0.05) / 0.05 >= 4.5


def test_depth_colors_grow_darker_all_the_way():
    import matplotlib

    colors = matplotlib.colormaps[draw.DEPTH_COLORS](np.linspace(0, 1, 64))[:, :3]
    brightness = colors @ [0.299, 0.587, 0.114]
    assert (np.diff(brightness) < 0).all()


def test_photo_text_and_boxes():
    figure = draw.photo_with_objects(street(), [*OBJECTS, REGION], "A street")
    assert figure.alt_text == (
        "A street. Road photo with 3 objects: Pedestrian at 7.3 m, Car at 23 m, Cyclist at 41 m."
    )
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["Car 23 m", "Cyclist 41 m", "Pedestrian 7.3 m"]
    image = pixels(figure)
    for each in OBJECTS:
        rows, columns = window_of(figure.axes[0], each.box)
        color = np.array([int(draw.STYLES[each.name]["color"][i : i + 2], 16) for i in (1, 3, 5)])
        edge = image[rows, columns.start - 1 : columns.start + 2]
        assert (np.abs(edge - color).max(axis=-1) < 12).any()


def test_labels_do_not_cover_each_other():
    crowd = [found(distance=10.0 + i, box=(180 + 6 * i, 50, 210 + 6 * i, 70)) for i in range(6)]
    figure = draw.photo_with_objects(street(), crowd)
    figure.canvas.draw()
    extents = [text.get_bbox_patch().get_window_extent() for text in figure.axes[0].texts]
    frame = figure.axes[0].get_window_extent()
    assert len(extents) == 6
    for i, extent in enumerate(extents):
        assert not any(extent.overlaps(other) for other in extents[:i])
        assert frame.x0 <= extent.x0
        assert extent.x1 <= frame.x1
        assert frame.y0 <= extent.y0
        assert extent.y1 <= frame.y1


def test_labels_of_boxes_at_the_edge_stay_inside():
    edge = [found(box=(-30, -20, 8, 20)), found(box=(400, 100, 460, 140)), found(box=(0, 0, 415, 127))]
    figure = draw.photo_with_objects(street(), edge)
    figure.canvas.draw()
    frame = figure.axes[0].get_window_extent()
    for text in figure.axes[0].texts:
        extent = text.get_bbox_patch().get_window_extent()
        assert frame.x0 <= extent.x0 < extent.x1 <= frame.x1
        assert frame.y0 <= extent.y0 < extent.y1 <= frame.y1


def test_labels_and_unknown_distances_can_be_drawn():
    objects = [TRUTH, found("Van", math.nan)]
    assert draw.photo_with_objects(street(), objects).alt_text == "Road photo with 2 objects: Car at 24 m, Van."
    many = [found(distance=5.0 + i) for i in range(13)]
    assert draw.photo_with_objects(street(), many).alt_text.endswith("Car at 14 m, and 3 more.")


def test_a_wrong_image_or_box_is_named():
    with pytest.raises(ValueError, match="image must be"):
        draw.photo_with_objects(street() / 255, [])
    with pytest.raises(ValueError, match="image must be"):
        draw.result(street()[..., 0], [], np.zeros((128, 416)))
    with pytest.raises(ValueError, match="not finite"):
        draw.photo_with_objects(street(), [found(box=(0, 0, math.nan, 4))])


def test_unknown_depth_is_grey_and_near_is_lighter_than_far():
    depth = np.full((60, 200), 6.0)
    depth[:, 50:100], depth[:, 100:150], depth[:, 150:] = 60.0, 0.0, np.nan
    valid = np.ones(depth.shape, bool)
    valid[30:, :50] = False
    figure = draw.depth_panel(depth, valid, boxes=[(120, 10, 140, 30)])
    image = pixels(figure)

    def color_at(row, column):
        rows, columns = window_of(figure.axes[0], (column, row, column, row))
        return image[rows.start, columns.start].tolist()

    grey = [0xBD, 0xBD, 0xBD]
    assert color_at(40, 110) == color_at(40, 170) == color_at(45, 20) == grey
    assert sum(color_at(10, 20)) > sum(color_at(10, 70)) + 150
    assert figure.alt_text == (
        "Depth map: 38 % of the pixels have a depth, from 6.0 m (light) to 60 m (dark). 1 box outlined."
    )
    assert len(figure.axes) == 2


def test_scattered_points_are_drawn_larger_and_the_nearest_wins():
    depth = np.zeros((300, 1200))
    depth[10, 20], depth[10, 22], depth[200, 700] = 30.0, 10.0, 5.0
    figure = draw.depth_panel(depth)
    shown = figure.axes[0].get_images()[0].get_array()
    assert shown.count() == 15 + 9
    assert shown[11, 20] == 30
    assert shown[9, 21] == shown[10, 22] == 10
    assert "0 % of the pixels have a depth, from 5.0 m (light) to 30 m" in figure.alt_text
    depth[:] = 0
    depth[100:110, 100:200] = 7.0
    assert draw.depth_panel(depth).axes[0].get_images()[0].get_array().count() == 1000


def test_depth_without_any_value():
    assert draw.depth_panel(np.full((4, 8), np.nan)).alt_text == "Depth map: no pixel has a depth."
    with pytest.raises(ValueError, match="depth must be"):
        draw.depth_panel(np.zeros((4, 8, 1)))
    with pytest.raises(ValueError, match="valid has shape"):
        draw.depth_panel(np.zeros((4, 8)), np.zeros((4, 7)))


def test_a_color_bar_has_the_ticks_that_it_was_given():
    figure = draw.depth_panel(np.full((4, 8), 9.0))
    picture, axes = figure.axes[0].get_images()[0], figure.add_axes((0.1, 0.1, 0.5, 0.1))
    draw.color_bar(figure, picture, axes, {5: "near", 80: "far"}, "horizontal", text_size=7)
    pixels(figure)
    assert [(text.get_text(), text.get_fontsize()) for text in axes.get_xticklabels()] == [("near", 7), ("far", 7)]
    assert (axes.get_xticks().tolist(), axes.get_xticks(minor=True).tolist()) == ([5, 80], [])


def test_birds_eye_view_says_where_things_are():
    figure = draw.birds_eye_view([*OBJECTS, found(distance=75.0)], [TRUTH, REGION], max_distance=60)
    assert figure.alt_text == (
        "Bird's-eye view: the scene from above, 3 objects: Pedestrian 7.3 m ahead, 3 m to the left; "
        "Car 23 m ahead, 2 m to the right; Cyclist 41 m ahead, straight ahead. "
        "1 object not within 60 m ahead left out. The footprints of 1 label are outlined."
    )


def test_spread_lies_along_the_ray_and_one_metre_is_one_metre():
    figure = draw.birds_eye_view([found(distance=20.0, side=8.0, spread=5.0)])
    (axes,) = figure.axes
    bars = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) == 2]
    np.testing.assert_allclose(bars, [[[6.0, 15.0], [10.0, 25.0]]])
    across, ahead = np.diff(axes.transData.transform([(0, 0), (1, 1)]), axis=0)[0]
    assert across == pytest.approx(ahead)


def test_footprint_is_where_the_label_says():
    (axes,) = draw.birds_eye_view([], [TRUTH]).axes
    footprints = [patch.get_xy() for patch in axes.patches if patch.get_zorder() == 2]
    assert len(footprints) == 1
    np.testing.assert_allclose(footprints[0][:4].mean(axis=0), [2.0, 24.0])
    assert np.ptp(footprints[0][:, 1]) == pytest.approx(4.0, abs=0.1)


def test_the_result_shows_depth_only_inside_the_boxes():
    roi_depth = np.zeros((128, 416))
    roi_depth[40:81, 100:161] = 23.4
    full_depth = np.full((128, 416), 30.0)
    figure = draw.result(street(), OBJECTS, roi_depth, full_depth, [TRUTH])
    assert figure.alt_text.startswith("The result in 4 panels. Road photo with 3 objects: Pedestrian at 7.3 m")
    assert "5 % of the pixels have a depth, from 23 m" in figure.alt_text
    assert "Car 23 m ahead, 2 m to the right" in figure.alt_text
    image = pixels(figure)
    rows, columns = window_of(figure.axes[1], (110, 50, 150, 70))
    assert np.ptp(image[rows, columns], axis=-1).min() > 40
    rows, columns = window_of(figure.axes[1], (10, 100, 90, 120))
    assert np.ptp(image[rows, columns], axis=-1).max() == 0
    assert len(draw.result(street(), OBJECTS, roi_depth).axes) == 4
    with pytest.raises(ValueError, match=r"depth must be \(128, 416\)"):
        draw.result(street(), OBJECTS, roi_depth[:64])


def test_nothing_to_draw_is_fine():
    empty = np.zeros((128, 416))
    figure = draw.result(street(), [], empty, np.full(empty.shape, np.nan), [REGION])
    assert "no objects" in figure.alt_text
    assert "no pixel has a depth" in figure.alt_text
    assert draw.birds_eye_view([]).alt_text == "Bird's-eye view: the scene from above, 0 objects."
    pixels(figure)


def test_the_pipeline_lights_what_is_asked():
    figure = draw.pipeline(("encoder", "depth"))
    assert figure.alt_text.endswith("Lit: encoder; depth head, there only.")
    bold = [text.get_text() for text in figure.axes[0].texts if text.get_fontweight() == "bold"]
    assert bold == ["encoder", "depth head,\nthere only"]
    assert draw.pipeline().alt_text.endswith("No part is lit.")
    assert draw.pipeline("image").alt_text.endswith("Lit: image.")
    with pytest.raises(ValueError, match="decoder"):
        draw.pipeline(("decoder",))


def test_the_pipelines_text_fits_its_boxes():
    figure = draw.pipeline(tuple(draw.PARTS))
    figure.canvas.draw()
    (axes,) = figure.axes
    words = [text for text in axes.texts if text.get_text() != "the same features"]
    boxes = [patch.get_window_extent() for patch in axes.patches if type(patch).__name__ == "FancyBboxPatch"]
    assert len(boxes) == len(draw.PARTS)
    texts = [text for text in words if text.get_text()]
    for text, box in zip(texts, boxes, strict=True):
        extent = text.get_window_extent()
        assert box.x0 < extent.x0 < extent.x1 < box.x1
        assert box.y0 < extent.y0 < extent.y1 < box.y1


def test_curves_carry_their_names_and_do_not_hide_them():
    series = {"joint": ([1, 2, 3], [4.0, 2.0, 1.0]), "alone": ([1, 2, 3], [5.0, math.nan, 1.01]), "three": ([1], [1])}
    figure = draw.curve(series, "epoch", "loss", title="Training")
    assert figure.alt_text == (
        "Training. Line figure: loss against epoch. joint: from 4 at epoch 1 to 1 at epoch 3, between 1 and 4. "
        "alone: from 5 at epoch 1 to 1.01 at epoch 3, between 1.01 and 5. three: from 1 at epoch 1 to 1 at epoch 1, "
        "between 1 and 1."
    )
    figure.canvas.draw()
    extents = {text.get_text(): Text.get_window_extent(text) for text in figure.axes[0].texts}
    assert set(extents) == set(series)
    names = list(extents.values())
    assert not any(a.overlaps(b) for i, a in enumerate(names) for b in names[:i])
    for (name, (_, y)), line in zip(series.items(), figure.axes[0].lines, strict=True):
        assert figure.axes[0].bbox.x1 < extents[name].x0 < extents[name].x1 < figure.bbox.x1
        end = figure.axes[0].transData.transform((1, y[-1]))[1]
        assert abs(extents[name].y0 + extents[name].y1 - 2 * end) < 70
        assert line.get_ydata()[-1] == y[-1]
    assert len({line.get_marker() for line in figure.axes[0].lines}) == 3


def test_wrong_curves_are_named():
    with pytest.raises(ValueError, match="1 to 6 lines"):
        draw.curve({}, "x", "y")
    with pytest.raises(ValueError, match="1 to 6 lines"):
        draw.curve({str(i): ([1], [1]) for i in range(7)}, "x", "y")
    with pytest.raises(ValueError, match="0 or less"):
        draw.curve({"a": ([1, 2], [1, 0])}, "x", "y", logarithmic=True)
    with pytest.raises(ValueError, match="'a'"):
        draw.curve({"a": ([1, 2], [1])}, "x", "y")
    with pytest.raises(ValueError, match="'a'"):
        draw.curve({"a": ([1], [math.nan])}, "x", "y")


def test_saved_files_carry_the_text_and_nothing_else_stays(tmp_path):
    figure = draw.pipeline()
    figure.alt_text += " Größer → weiter."
    draw.save(figure, tmp_path / "pipeline.png")
    with Image.open(tmp_path / "pipeline.png") as image:
        image.load()
        assert image.text["Description"] == figure.alt_text
        assert image.size == (800, 152)
    first = (tmp_path / "pipeline.png").read_bytes()
    draw.save(figure, tmp_path / "pipeline.png")
    assert (tmp_path / "pipeline.png").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.png"]


def test_a_failed_save_leaves_the_old_file_whole(tmp_path, monkeypatch):
    target = tmp_path / "figure.png"
    target.write_bytes(b"old")
    figure = draw.pipeline()

    def break_off(path, **options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", break_off)
    with pytest.raises(OSError, match="disk full"):
        draw.save(figure, target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(ValueError, match=r"must end in \.png"):
        draw.save(draw.pipeline(), tmp_path / "figure.jpg")


def test_a_figure_without_text_is_refused(tmp_path):
    from matplotlib.figure import Figure

    with pytest.raises(ValueError, match="no alt text"):
        draw.show(Figure())
    with pytest.raises(ValueError, match="no alt text"):
        draw.save(Figure(), tmp_path / "figure.png")
    assert list(tmp_path.iterdir()) == []


def test_no_figure_stays_open():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    draw.photo_with_objects(street(), OBJECTS)
    draw.curve({"a": ([1, 2], [1, 2])}, "x", "y")
    assert pyplot.get_fignums() == []


CELL = """
import numpy as np
import matplotlib.pyplot as plt
from roidepth_lessons import draw
draw.show(draw.pipeline(("neck",)))
draw.show(draw.depth_panel(np.full((32, 104), 9.0)))
noise = np.random.default_rng(0).integers(0, 255, (128, 416, 3)).astype(np.uint8)
draw.show(draw.photo_with_objects(noise, []))
own, axes = plt.subplots(figsize=(2, 1))
own.alt_text = 'A "small" <empty> figure.'
draw.show(own)
"""


@pytest.fixture(scope="module")
def notebook():
    """A notebook that was really run, by a kernel of its own."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    return nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute()


def test_shown_figures_carry_their_text_and_come_once(notebook):
    outputs = notebook.cells[0].outputs
    kinds = ["image/png", "image/png", "image/jpeg", "image/png"]
    assert [sorted(output["data"]) for output in outputs] == [sorted([kind, "text/plain"]) for kind in kinds]
    texts = [output["metadata"][kind]["alt"] for output, kind in zip(outputs, kinds, strict=True)]
    assert texts[0].endswith("Lit: neck.")
    assert texts[1].startswith("Depth map: 100 % of the pixels")
    assert texts[2:] == ["Road photo with no objects.", 'A "small" <empty> figure.']
    assert [output["data"]["text/plain"] for output in outputs] == [
        "<Figure size 800x152 with 1 Axes>",
        "<Figure size 800x222 with 2 Axes>",
        "<Figure size 800x246 with 1 Axes>",
        "<Figure size 200x100 with 1 Axes>",
    ]
    for output, kind in zip(outputs, kinds, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(output["data"][kind]))) as image:
            assert image.format == kind[6:].upper()
            size = output["data"]["text/plain"].split()[2]
            assert f"{image.width}x{image.height}" == size


def test_the_text_reaches_a_web_page(notebook):
    """The classic template writes it; the "lab" template and JupyterLab 4.6 itself do not read it yet."""
    nbconvert = pytest.importorskip("nbconvert")
    page, _ = nbconvert.HTMLExporter(template_name="classic").from_notebook_node(notebook)
    assert 'alt="Road photo with no objects."' in page
    assert "Lit: neck." in page


@pytest.mark.parametrize(
    ("title", "start"), [("How far?", "How far? Road"), ("A street", "A street. Road"), (None, "Ro")]
)
def test_a_title_is_a_sentence_of_the_text(title, start):
    assert draw.photo_with_objects(np.zeros((8, 16, 3), np.uint8), [], title=title).alt_text.startswith(start)


def test_a_shown_diagram_has_a_palette_and_looks_like_the_saved_one(tmp_path):
    figure = draw.depth_panel(np.tile(np.linspace(4, 80, 416), (128, 1)))
    kind, data = draw._encoded(figure)
    draw.save(figure, tmp_path / "whole.png")
    with Image.open(io.BytesIO(data)) as small, Image.open(tmp_path / "whole.png") as whole:
        assert (kind, small.mode, small.size) == ("image/png", "P", whole.size)
        assert small.text["Description"] == figure.alt_text
        difference = np.abs(np.asarray(small.convert("RGB"), int) - np.asarray(whole.convert("RGB"), int))
    assert difference.mean() < 1
    assert len(data) < 0.6 * (tmp_path / "whole.png").stat().st_size
