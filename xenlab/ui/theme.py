"""Colours and type of every picture in the book: safe for colour-blind readers, in a light and a dark dress.

Widgets take JupyterLab's own CSS variables (`theme.css`), so they follow the reader's theme by themselves. A
matplotlib figure takes them from `figures()`, a context manager: importing this module changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from string import Template
from typing import Any

#: The palette of Okabe and Ito, Color Universal Design (2008): eight colours that remain distinct under the
#: common kinds of colour blindness. No picture tells two things apart by colour alone.
PALETTE: Mapping[str, str] = {
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#7F7F7F",
}

#: Paler tones of them (and a second grey): what dark lettering stands on.
PALE: Mapping[str, str] = {
    "orange": "#F0B43C",
    "sky": "#7CC6F0",
    "green": "#4CC9A0",
    "vermilion": "#F58A4B",
    "purple": "#DBA0C2",
    "blue": "#8FB8E8",
    "grey": "#C9CED6",
    "slate": "#B4B9C0",
}

#: Lettering and outlines on a coloured ground, whatever the theme, and grounds on which light lettering stands.
DARK, LIGHT, NIGHT, DUSK = "#10151A", "#FFFFFF", "#24292F", "#57606A"

_NAMED = {
    **PALETTE,
    **{f"pale_{name}": colour for name, colour in PALE.items()},
    "dark": DARK,
    "light": LIGHT,
    "night": NIGHT,
    "dusk": DUSK,
}

_CYCLE = ("blue", "orange", "green", "vermilion", "sky", "purple", "grey", "yellow")


def dye(style: str) -> str:
    """Return a style sheet with the theme's colours in place of their names: those of a picture that brings its own.

    >>> dye(".xl-map .held{fill:$pale_sky;stroke:$dark}")
    '.xl-map .held{fill:#7CC6F0;stroke:#10151A}'
    """
    return Template(style).substitute(_NAMED)


@contextmanager
def figures(dark: bool = False) -> Iterator[None]:
    """Draw matplotlib figures in the book's style within the block; the old settings return after it.

    `dark` swaps ink and paper. Lines go through the palette in the order that keeps neighbours furthest
    apart.

    >>> import matplotlib
    >>> before = matplotlib.rcParams["figure.dpi"]
    >>> with figures():
    ...     matplotlib.rcParams["axes.spines.top"]
    False
    >>> matplotlib.rcParams["figure.dpi"] == before
    True
    """
    import matplotlib as mpl
    from cycler import cycler

    paper, ink, line = ("#16191d", "#e6e6e6", "#4a4f55") if dark else (LIGHT, NIGHT, "#d0d4d9")
    settings: Any = {
        "figure.figsize": (7.2, 3.2),
        "figure.dpi": 110,
        "figure.facecolor": paper,
        "figure.constrained_layout.use": True,
        "savefig.facecolor": paper,
        "axes.facecolor": paper,
        "axes.edgecolor": line,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.titlesize": "medium",
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=[PALETTE[name] for name in _CYCLE]),
        "grid.color": line,
        "grid.linewidth": 0.6,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "legend.frameon": False,
        "font.size": 10.5,
        "lines.linewidth": 2,
    }
    with mpl.rc_context(settings):
        yield
