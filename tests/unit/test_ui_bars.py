"""Counted things as bars: each has its length, its number, and what tells its parts apart without colour."""

import pytest
from matplotlib import pyplot as plt

from xenlab.ui.bars import counts_figure, parts_figure


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def words(axes):
    return [text.get_text().strip() for text in axes.texts]


def test_counts_stand_beside_their_bars_the_first_on_top():
    (axes,) = counts_figure([("hlt", 12_345), ("in", 7)], "exits", title="A guest").axes
    assert [bar.get_width() for bar in axes.patches] == [12_345, 7]
    assert words(axes) == ["12,345", "7"]
    assert axes.get_xscale() == "log"
    assert axes.yaxis_inverted()
    assert (axes.get_xlabel(), axes.get_title("left")) == ("exits", "A guest")


def test_bars_without_a_colour_of_their_own_are_alike():
    (axes,) = counts_figure(
        [("a", 1), ("b", 2), ("c", 3)], "cycles", colours=["vermilion"], powers_of_ten=False
    ).axes
    first, second, third = (bar.get_facecolor() for bar in axes.patches)
    assert first != second == third
    assert axes.get_xscale() == "linear"


def test_parts_lie_one_after_another_and_differ_in_pattern():
    figure = parts_figure(["old", "new"], {"ports": [3, 1], "pages": [4, 0]}, ("blue", "sky"), "exits", 2)
    (axes,) = figure.axes
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 3), (0, 1), (3, 4), (1, 0)]
    assert words(axes) == ["7", "1"]
    assert len({bar.get_hatch() for bar in axes.patches}) == 2
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ports", "pages"]
