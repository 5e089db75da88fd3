"""Who stands on whom: layers of a computer as a picture, from the hardware at the bottom to the programs on top."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from xenlab.commands import XenlabError
from xenlab.ui.theme import PALETTE

WIDTH, ROW, GAP = 320, 34, 6
BLUE, SKY = PALETTE["blue"], PALETTE["sky"]


@dataclass(frozen=True)
class Layer:
    """One box: what stands in it, what it is for those who cannot see it, and whether it does the virtualizing."""

    text: str
    virtualizes: bool = False


def stack(rows: Sequence[Sequence[Layer]], title: str) -> str:
    """Draw `rows` of boxes, the top one first, as an SVG of its own that takes the page's colours.

    The boxes of a row share its width. The layer that virtualizes is outlined boldly and its text is bold, so it shows
    without colour too. `title` is what a screen reader says. Raises `XenlabError` if there is nothing to draw.

    >>> rows = [[Layer("guest"), Layer("guest")], [Layer("Xen", True)], [Layer("hardware")]]
    >>> stack(rows, "two guests on Xen").count("<rect")
    4
    """
    if not rows or not all(rows):
        raise XenlabError(f"rows(={rows!r}) must hold at least one box in every row")
    height = len(rows) * (ROW + GAP) + GAP
    boxes = "".join(
        _box(layer, place, len(row), level)
        for level, row in enumerate(rows)
        for place, layer in enumerate(row)
    )
    return (
        f'<svg class="xl-stack" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}" '
        f'style="max-width: {WIDTH}px; width: 100%; display: block; color: inherit">{boxes}</svg>'
    )


def _box(layer: Layer, place: int, of: int, level: int) -> str:
    width = (WIDTH - (of + 1) * GAP) / of
    x, y = GAP + place * (width + GAP), GAP + level * (ROW + GAP)
    bold = layer.virtualizes
    outline = f'stroke="{BLUE}" stroke-width="2.5"' if bold else 'stroke="currentColor" stroke-opacity="0.35"'
    fill = f'fill="{SKY}" fill-opacity="0.25"' if bold else 'fill="currentColor" fill-opacity="0.05"'
    size = 13 if width > 7.2 * len(layer.text) + 8 else 11
    return (
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW}" rx="5" {fill} {outline}/>'
        f'<text x="{x + width / 2:.1f}" y="{y + ROW / 2 + 4.5}" text-anchor="middle" fill="currentColor" '
        f'font-size="{size}" font-weight="{"bold" if bold else "normal"}">{html.escape(layer.text)}</text>'
    )
