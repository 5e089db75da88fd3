"""How full a snapshot is: a gauge to try things out with, and a figure of what was measured on a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import traitlets

from xenlab.storage.fill import Pattern, fullness
from xenlab.ui.figure import show
from xenlab.ui.theme import PALETTE, dye, figures
from xenlab.ui.widget import Widget, source

_HERE = Path(__file__).parent
_MIB = 1 << 20
_BLOCK = 4096
_WIDTH, _HEIGHT = 760, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 740, 84, 214  # of the curve

_STYLE = dye("""
.xl-fill{display:block;width:100%;height:auto;max-width:760px;margin:0 auto;color:inherit;font-family:inherit}
.xl-fill text{font-size:13px;fill:currentColor}.xl-fill text.small{font-size:11.5px;fill-opacity:.82}
.xl-fill .frame,.xl-fill .axis{fill:none;stroke:currentColor;stroke-opacity:.45}
.xl-fill .level{fill:$sky}.xl-fill .level.high{fill:$orange}.xl-fill .level.lost{fill:$vermilion}
.xl-fill .curve{fill:none;stroke:$blue;stroke-width:2.4}
.xl-fill .here{fill:currentColor}.xl-fill .limit{stroke:$vermilion;stroke-dasharray:2 3;stroke-width:1.5}
[data-jp-theme-light="false"] .xl-fill .curve{stroke:$sky}
.xl-fill .curve.other{stroke:$grey;stroke-dasharray:5 4}
""")


class SnapshotGauge(Widget):
    """How full will a snapshot be? Sliders for its room and for what is written to its volume; a gauge, and a curve.

    Arguments: `volume`, `room` and `written` in MiB, written in blocks of 4 KiB; `pattern`, ``"random"`` or
    ``"in order"``. It is arithmetic (`fill.fullness`), held to the model of the exception store; nothing is
    written.

    >>> print(SnapshotGauge(volume=100, room=8, written=4, pattern="in order"))
    4 MiB written in order to a volume of 100 MiB: its snapshot with room for 8 MiB is 50.3 % full.
    """

    needs_kernel = "input, select"
    _esm = source("parts.js", _HERE / "fill.js")
    volume = traitlets.Int(64, min=1).tag(sync=True)
    room = traitlets.Int(32, min=1).tag(sync=True)
    written = traitlets.Int(40, min=0).tag(sync=True)
    pattern: traitlets.Enum[Any] = traitlets.Enum(("random", "in order"), "random").tag(sync=True)
    svg = traitlets.Unicode().tag(sync=True)
    told = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._draw()
        self.observe(lambda _: self._draw(), ["volume", "room", "written", "pattern"])

    def full(self, written: int | None = None, pattern: Pattern | None = None) -> float:
        """Return how full the snapshot is, 0 to 1, after so many MiB (those of the slider if not given)."""
        blocks = (self.written if written is None else written) * _MIB // _BLOCK
        return fullness(blocks, self.volume * _MIB, self.room * _MIB, pattern or self.pattern)

    def describe(self) -> str:
        """Return the gauge in words."""
        level = self.full()
        where = "in order" if self.pattern == "in order" else "at random places"
        state = "has run full and is lost" if level >= 1 else f"is {100 * level:.1f} % full"
        return (
            f"{self.written} MiB written {where} to a volume of {self.volume} MiB: "
            f"its snapshot with room for {self.room} MiB {state}."
        )

    def picture(self) -> str:
        """Return the gauge and the curve."""
        return f"{self.svg}<p>{self.told}</p>"

    def _draw(self) -> None:
        self.told = self.describe()
        level = self.full()
        width = f"{(_RIGHT - _LEFT) * level:.1f}"
        kind = "lost" if level >= 1 else "high" if level >= 0.8 else ""
        parts = [
            f"<svg class='xl-fill' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' xmlns='http://www.w3.org/2000/svg'>",
            f"<title>How full a snapshot gets</title><desc>{self.told}</desc><style>{_STYLE}</style>",
            f"<rect class='level {kind}' x='{_LEFT}' y='16' width='{width}' height='26' rx='4'/>",
            f"<rect class='frame' x='{_LEFT}' y='16' width='{_RIGHT - _LEFT}' height='26' rx='4'/>",
            f"<text x='{_LEFT}' y='60'>{'lost: Invalid' if level >= 1 else f'{100 * level:.1f} %'}</text>",
            f"<text class='small' x='{_RIGHT}' y='60' text-anchor='end'>room: {self.room} MiB</text>",
            *self._curve(),
            "</svg>",
        ]
        self.svg = "".join(parts)

    def _curve(self) -> list[str]:
        most = 2 * self.volume
        across = _RIGHT - _LEFT

        def point(written: float, level: float) -> tuple[float, float]:
            return _LEFT + across * written / most, _BOTTOM - (_BOTTOM - _TOP) * level

        def line(pattern: Pattern, kind: str) -> str:
            steps = [round(most * step / 120) for step in range(121)]
            points = " ".join(
                "{:.1f},{:.1f}".format(*point(step, self.full(step, pattern))) for step in steps
            )
            return f"<polyline class='curve {kind}' points='{points}'/>"

        other: Pattern = "in order" if self.pattern == "random" else "random"
        x, y = point(self.written, self.full())
        ticks = "".join(
            f"<text class='small' x='{point(step, 0)[0]:.0f}' y='{_BOTTOM + 16}' text-anchor='middle'>{step}</text>"
            for step in (0, most // 4, most // 2, 3 * most // 4, most)
        )
        return [
            f"<path class='axis' d='M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}'/>",
            f"<path class='limit' d='M{_LEFT} {_TOP}H{_RIGHT}'/>",
            f"<text class='small' x='{_LEFT - 8}' y='{_TOP + 4}' text-anchor='end'>100 %</text>",
            f"<text class='small' x='{_LEFT - 8}' y='{_BOTTOM + 4}' text-anchor='end'>0 %</text>",
            line(other, "other"),
            line(self.pattern, ""),
            f"<circle class='here' cx='{x:.1f}' cy='{y:.1f}' r='5'/>",
            ticks,
            f"<text class='small' x='{_RIGHT}' y='{_HEIGHT - 4}' text-anchor='end'>MiB written; "
            f"solid: {self.pattern}, dashed: {other}</text>",
        ]


def show_fill(measured: pd.Series[float], volume: int, room: int, simulated: bool) -> None:
    """Show how full a snapshot was after so many blocks, beside what arithmetic says of writes in order.

    Arguments: `measured`, percent by blocks of 4 KiB written in order; `volume` and `room` in bytes; `simulated`,
    whether a model or a real dom0 gave them.
    """
    import matplotlib.pyplot as plt

    how = "simulated" if simulated else "measured"
    blocks = list(measured.index)
    with figures():
        figure, axis = plt.subplots(figsize=(7.2, 2.8))
        steps = [round(blocks[-1] * step / 60) for step in range(61)]
        expected = [100 * fullness(step, volume, room, "in order") for step in steps]
        axis.plot(steps, expected, color=PALETTE["grey"], label="arithmetic")
        axis.plot(blocks, list(measured), "o", color=PALETTE["blue"], label=how)
        axis.set(
            xlabel="blocks of 4 KiB written to the volume",
            ylabel="full (%)",
            title=f"A snapshot fills ({how})",
        )
        axis.legend()
        told = ", ".join(f"{block} blocks {percent:.1f} %" for block, percent in measured.items())
        show(figure, f"How full the snapshot was ({how}): {told}.")


def show_savings(depths: tuple[int, ...] = (1, 2, 4), guests: int = 10) -> None:
    """Show what part of the room a golden image saves, against how much each layer changes, by depth of the chain.

    Arguments: `depths`, how many layers lie above the golden image; `guests` that share it.
    """
    import matplotlib.pyplot as plt

    from xenlab.storage.qcow2 import golden_image_space

    ratios = [10 ** (-4 + step / 15) for step in range(61)]
    with figures():
        figure, axis = plt.subplots(figsize=(7.2, 3.0))
        for depth in depths:
            saved = [100 * golden_image_space(4 << 30, guests, ratio, depth=depth).saved for ratio in ratios]
            axis.plot(
                [100 * ratio for ratio in ratios], saved, label=f"{depth} layer{'s' if depth > 1 else ''}"
            )
        axis.set(
            xscale="log",
            xlabel="part of the blocks that each layer changes (%)",
            ylabel="room saved (%)",
            title=f"{guests} guests on one golden image (simulated)",
        )
        axis.xaxis.set_major_formatter("{x:g}")
        axis.legend(title="above the golden image")
        told = "; ".join(
            f"{depth} above: {100 * golden_image_space(4 << 30, guests, 0.001, depth=depth).saved:.0f} % saved where "
            f"0.1 % changes, {100 * golden_image_space(4 << 30, guests, 0.1, depth=depth).saved:.0f} % where 10 % does"
            for depth in depths
        )
        show(figure, f"Room saved by {guests} guests on one golden image (simulated). {told}.")
