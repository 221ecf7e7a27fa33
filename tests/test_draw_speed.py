"""Figures of lesson 12: bars end where their parts add up, and the alt text says it."""

import pytest

from roidepth_lessons import draw_speed

ROWS = {"full": {"detection": 60.0, "depth head": 40.0}, "detection": {"detection": 60.0}, "ROI": {"depth head": 9.5}}


def test_parts_stand_one_behind_the_other_in_the_row_of_their_name():
    (axes,) = (figure := draw_speed.bars(ROWS, "ms", "A frame")).axes
    found = [(round(bar.get_y() + bar.get_height() / 2), bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert found == [(0, 0, 60), (0, 60, 40), (1, 0, 60), (2, 0, 9.5)]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(ROWS)
    assert [text.get_text() for text in axes.texts] == ["100", "60", "9.5"]
    colors = [bar.get_facecolor() for bar in axes.patches]
    assert colors[0] == colors[2] != colors[1] == colors[3]
    assert axes.patches[0].get_hatch() != axes.patches[1].get_hatch()
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is on top
    assert axes.get_xlim()[1] > 105
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["detection", "depth head"]
    assert figure.alt_text == (
        "A frame. Bars, ms. full: detection 60, depth head 40, in all 100. detection: detection 60. "
        "ROI: depth head 9.5."
    )


def test_one_kind_of_part_needs_no_key():
    assert draw_speed.bars({"a": {"": 1.0}, "b": {"": 2.0}}, "times").legends == []


@pytest.mark.parametrize("rows", [{}, {"a": {}}, {"a": {str(part): 1 for part in range(7)}}])
def test_rows_that_cannot_be_drawn(rows):
    with pytest.raises(ValueError, match="rows: wanted one at least"):
        draw_speed.bars(rows, "ms")


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_length_that_is_none(value):
    with pytest.raises(ValueError, match="at least 0"):
        draw_speed.bars({"a": {"x": value}}, "ms")
