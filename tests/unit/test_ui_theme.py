"""The theme: told apart by every eye, the same in Python and in the page, and the only place with colours."""

import itertools
import re
from math import atan2, cos, degrees, exp, hypot, radians, sin, sqrt
from pathlib import Path

import numpy as np
import pytest

import xenlab
from xenlab.ui.theme import DARK, DUSK, LIGHT, NIGHT, PALE, PALETTE, dye

PACKAGE = Path(xenlab.__file__).parent
#: The colours of the theme's own files, and of the frame that the web site puts around the chapters.
THEMES = {"ui/theme.py", "ui/theme.css", "book/static/book.css"}
CSS = (PACKAGE / "ui/theme.css").read_text()

#: How linear sRGB looks to an eye that lacks the cone for green, for red, or for blue, altogether.
#: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, IEEE TVCG 15(6), 2009, doi:10.1109/TVCG.2009.113, severity 1.0.
EYES = {
    "all cones": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
#: sRGB (IEC 61966-2-1) to XYZ, and its white.
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour):
    value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* of a linear colour."""
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def ciede2000(one, other):
    """How different two colours look: G. Sharma, W. Wu, E. N. Dalal, Color Research & Application 30(1), 2005."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean_c = (hypot(a1, b1) + hypot(a2, b2)) / 2
    g = 0.5 * (1 - sqrt(mean_c**7 / (mean_c**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = hypot(a1, b1), hypot(a2, b2)
    h1, h2 = (degrees(atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0
    mean_l, mean_c, mean_h = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + turn / 2) % 360
    t = (
        1
        - 0.17 * cos(radians(mean_h - 30))
        + 0.24 * cos(radians(2 * mean_h))
        + 0.32 * cos(radians(3 * mean_h + 6))
        - 0.20 * cos(radians(4 * mean_h - 63))
    )
    lightness = (l2 - l1) / (1 + 0.015 * (mean_l - 50) ** 2 / sqrt(20 + (mean_l - 50) ** 2))
    chroma = (c2 - c1) / (1 + 0.045 * mean_c)
    hue = 2 * sqrt(c1 * c2) * sin(radians(turn) / 2) / (1 + 0.015 * mean_c * t)
    rotation = (
        -2 * sqrt(mean_c**7 / (mean_c**7 + 25**7)) * sin(radians(60 * exp(-(((mean_h - 275) / 25) ** 2))))
    )
    return sqrt(lightness**2 + chroma**2 + hue**2 + rotation * chroma * hue)


def contrast(one, other):
    """WCAG 2: from 1 to 21."""
    light, dark = sorted((float(TO_XYZ[1] @ linear(each)) + 0.05 for each in (one, other)), reverse=True)
    return light / dark


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [  # rows of the test data of Sharma, Wu and Dalal
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_are_measured_as_published(one, other, difference):
    assert ciede2000(one, other) == pytest.approx(difference, abs=1e-4)


@pytest.mark.parametrize("eye", EYES)
def test_every_two_colours_of_the_palette_differ_to_every_eye(eye):
    # 1 is just noticeable side by side; 8 holds for two lines of one figure.
    seen = {name: lab(EYES[eye] @ linear(colour)) for name, colour in PALETTE.items()}
    differences = {pair: ciede2000(seen[pair[0]], seen[pair[1]]) for pair in itertools.combinations(seen, 2)}
    assert min(differences.values()) >= 8, min(differences, key=differences.get)


def test_red_and_green_of_equal_lightness_would_not_have_passed():
    pair = [lab(EYES["deuteranopia"] @ linear(colour)) for colour in ("#B08040", "#8C9440")]
    assert ciede2000(*pair) < 8


def test_lettering_reads_on_its_ground():
    grounds = [*PALE.values(), PALETTE["yellow"], PALETTE["orange"], PALETTE["sky"]]
    assert all(contrast(DARK, ground) >= 7 for ground in grounds)
    assert all(contrast(LIGHT, ground) >= 4.5 for ground in (NIGHT, DUSK, PALETTE["blue"]))


def test_the_page_has_the_same_colours_as_python():
    for name, colour in {
        **PALETTE,
        **{f"pale-{name}": colour for name, colour in PALE.items()},
        "dark": DARK,
        "light": LIGHT,
        "night": NIGHT,
        "dusk": DUSK,
    }.items():
        assert re.search(rf"--xl-{name}: {colour.lower()};", CSS), name


def test_the_theme_follows_jupyterlab_and_elsewhere_the_system():
    assert '[data-jp-theme-light="false"] .xl {' in CSS
    assert "@media (prefers-color-scheme: dark) {" in CSS


def test_a_colour_that_the_theme_does_not_have_is_an_error():
    with pytest.raises(KeyError, match="pink"):
        dye(".x{fill:$pink}")


def sources():
    return [
        path
        for kind in ("*.py", "*.js", "*.css")
        for path in PACKAGE.rglob(kind)
        if path.relative_to(PACKAGE).as_posix() not in THEMES
    ]


LITERAL = re.compile(
    r"""(?<![\w&])\#(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{6}|[0-9a-fA-F]{3,4}(?=["';} ]))(?!\w)   # a hexadecimal number
    |\b(?:rgb|hsl|hwb|lab|lch|oklab|oklch)a?\([\d\s.%,/]                                 # a function of numbers
    |\b(?:fill|stroke|color|background|edgecolor|facecolor)\s*[:=]\s*["']?
       (?:white|black|red|green|blue|yellow|orange|purple|gr[ae]y|C\d|tab:\w+)\b         # a name""",
    re.VERBOSE,
)


@pytest.mark.parametrize(
    "line",
    ["fill: #D55E00", "fill='#fff'", "rgb(0 0 0 / 35%)", 'edgecolor="white"', "stroke:red", "color='C1'"],
)
def test_a_literal_colour_would_be_found(line):
    assert LITERAL.search(line)


def test_only_the_theme_has_literal_colours():
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()[:80]}"
        for path in sources()
        for line in path.read_text(encoding="utf-8").splitlines()
        if LITERAL.search(line)
    ]
    assert found == []


def test_nothing_moves_by_a_style_sheet_where_less_motion_is_asked_for():
    for path in [*sources(), PACKAGE / "ui/theme.css"]:
        text = re.sub(
            r"@media \(prefers-reduced-motion: no-preference\) ?\{.*?\}\s*\}",
            "",
            path.read_text(),
            flags=re.S,
        )
        if path.suffix == ".js":
            continue  # scripts are watched in Chromium
        assert not re.search(
            r"\b(?:transition|animation)\s*:|@keyframes|scroll-behavior\s*:\s*smooth", text
        ), path


def test_only_players_run_by_themselves_and_two_desks_look_at_their_host():
    running = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.js")
        if re.search(r"setInterval|requestAnimationFrame|\.animate\(", path.read_text())
    }
    assert running == {"ui/player.js", "domains/dashboard.js", "memory/board.js"}
