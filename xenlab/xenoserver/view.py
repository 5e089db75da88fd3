"""The XenoServer chapter on the page: a session, a market, a start of Xen, and who runs in which ring."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets

from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.text import to_html, to_plain
from xenlab.ui.widget import Widget, source
from xenlab.xenoserver.bootlog import STAGES, Boot, Region
from xenlab.xenoserver.platform import Outcome, Scenario, simulate
from xenlab.xenoserver.powers import Tried
from xenlab.xenoserver.privilege import MODES, in_words, picture
from xenlab.xenoserver.story import CLIENT, CORP, SERVER, SERVICE, Moment, tell

_HERE = Path(__file__).parent
_CSS = source("theme.css", _HERE / "view.css")


class SessionStory(Player):
    """One session on the platform: who talks to whom, and what each of them has afterwards.

    >>> SessionStory().step(10)
    'There is room: 1024 MiB are set aside, and Xen builds a domain for her system.'
    """

    _esm = PLAYER_JS + source(_HERE / "session.js")
    _css = _CSS
    moments: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, memory: int = 1024, hours: int = 2, budget: int = 300) -> None:
        moments = tell(memory, hours, budget)
        super().__init__(
            [
                "Four parties that do not know each other. Press *Play*, or step with the arrow keys.",
                *(m.says for m in moments),
            ],
            moments=[_panel(None), *map(_panel, moments)],
            period=2600,
        )

    def picture(self) -> str:
        """Return every message in order."""
        return "<ol>" + "".join(f"<li>{caption}</li>" for caption in self.captions) + "</ol>"


def _panel(moment: Moment | None) -> dict[str, Any]:
    """What the four boxes show, and where the message goes."""
    if moment is None:
        return {"from": "", "to": "", "lines": {name: [] for name in (CLIENT, SERVER, SERVICE, CORP)}}
    lines = {
        CLIENT: [f"{moment.client} cents"] if moment.client else [],
        SERVER: [f"{moment.free} MiB free", f"earned {moment.operator} cents"],
        SERVICE: [],
        CORP: [f"order 1: {moment.order} cents" if moment.order else "", f"fees {moment.fee} cents"],
    }
    return {"from": moment.sender, "to": moment.receiver, "lines": lines}


class Market(Widget):
    """The platform with many clients: three sliders, and what becomes of five servers.

    >>> market = Market()
    >>> market.elasticity = 2.0
    >>> market.describe().splitlines()[0]
    'Prices rise by up to 200 % with the load, servers advertise every 1 h, 300 clients come.'
    """

    needs_kernel = "input"
    _esm = source("parts.js", _HERE / "market.js")
    _css = _CSS
    #: How strongly prices follow the load.
    elasticity = traitlets.Float(0.0).tag(sync=True)
    #: Hours between two adverts of a server.
    advert_every = traitlets.Float(1.0).tag(sync=True)
    clients = traitlets.Int(300).tag(sync=True)
    result: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)

    def __init__(self, seed: int = 1, **sliders: float) -> None:
        self._seed = seed
        super().__init__(**sliders)
        self.observe(self._simulate, ["elasticity", "advert_every", "clients"])
        self._simulate()

    def _simulate(self, change: object = None) -> None:
        scenario = Scenario(
            self._seed, self.clients, elasticity=self.elasticity, advert_every=self.advert_every
        )
        self._outcome = simulate(scenario)
        outcome = self._outcome
        self.result = {
            "servers": [
                {
                    "name": name,
                    "load": round(100 * outcome.mean_load(name)),
                    "earned": outcome.earned[name] // 100,
                }
                for name in outcome.loads
            ],
            "words": to_html(_sums(outcome)),
        }

    def describe(self) -> str:
        """Return the sliders, each server's load and income, and the sums."""
        rows = (
            f"{each['name']}: full to {each['load']} %, earned {each['earned']} dollars"
            for each in self.result["servers"]
        )
        sliders = (
            f"Prices rise by up to {100 * self.elasticity:g} % with the load, servers advertise every "
            f"{self.advert_every:g} h, {self.clients} clients come."
        )
        return "\n".join([sliders, *rows, to_plain(_sums(self._outcome))])

    def picture(self) -> str:
        """Return the same as a table."""
        rows = "".join(
            f"<tr><td>{html.escape(each['name'])}</td><td>{each['load']} %</td><td>{each['earned']}</td></tr>"
            for each in self.result["servers"]
        )
        head = "<tr><th>server</th><th>mean load</th><th>earned</th></tr>"
        return f"<table>{head}{rows}</table><p>{self.result['words']}</p>"


def _sums(outcome: Outcome) -> str:
    ends = outcome.endings
    return (
        f"**{ends['done']}** sessions ended well, **{ends['order spent']}** when their money was spent; "
        f"**{ends['full']}** clients found no room. Clients came to a full server **{outcome.refused_at_the_door}** "
        f"times. Loads differ by **{100 * outcome.imbalance:.0f} %** of their mean."
    )


class BootStory(Player):
    """How Xen came up, stage by stage, in the words of its own log.

    `boot` is what `xenlab.xenoserver.bootlog.read` made of ``xl dmesg``. `simulated` says whether no real Xen wrote it.
    """

    _esm = PLAYER_JS + source(_HERE / "boot.js")
    _css = _CSS
    lines: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    names: traitlets.List[str] = traitlets.List().tag(sync=True)
    memory = traitlets.Unicode().tag(sync=True)
    source_of = traitlets.Unicode().tag(sync=True)

    def __init__(self, boot: Boot, simulated: bool) -> None:
        super().__init__(
            [f"**{stage.name}.** {stage.does}" for stage in STAGES],
            lines=[{"text": line.text, "stage": line.stage} for line in boot.lines],
            names=[stage.name for stage in STAGES],
            memory=memory_map(boot),
            source_of="simulated log" if simulated else "log of a real Xen",
            period=3500,
        )

    def picture(self) -> str:
        """Return the stages with their lines, and the map of memory."""
        parts = (
            f"<dt><strong>{caption}</strong></dt><dd><pre>"
            + html.escape("\n".join(line["text"] for line in self.lines if line["stage"] == number))
            + "</pre></dd>"
            for number, caption in enumerate(self.captions)
        )
        return f"<p>From the {self.source_of}:</p><dl>{''.join(parts)}</dl>{self.memory}"


_MAP_WIDTH, _MAP_HEIGHT = 640, 92
_FILLS = {"Xen": 0.55, "dom0's first piece": 0.3, "dom0's first files": 0.42}


def memory_map(boot: Boot) -> str:
    """Draw the machine's memory from end to end, and what lay where when dom0 started, as an SVG.

    Only memory below 4 GiB and the pieces that the log names are drawn. Empty if the log names none.
    """
    inside = [each for each in boot.regions if each.what in _FILLS]
    usable = [each for each in boot.regions if each.what in ("usable", "RAM")]
    if not inside or not usable:
        return ""
    end = max(each.end for each in [*inside, *usable])
    places = {each.what: f"{each.start / 2**20:.0f} to {each.end / 2**20:.0f} MiB" for each in inside}
    title = "The machine's memory: " + ", ".join(f"{what} at {where}" for what, where in places.items())
    parts = [f'<rect x="1" y="30" width="{_MAP_WIDTH - 2}" height="26" fill="none" stroke="currentColor"/>']
    for number, region in enumerate(sorted(inside, key=lambda each: each.start)):
        parts.append(_piece(region, end, low=number % 2 == 1))
    parts += [_label(0, 88, "0", "start"), _label(_MAP_WIDTH, 88, f"{end / 2**20:.0f} MiB", "end")]
    return (
        f'<svg viewBox="0 0 {_MAP_WIDTH} {_MAP_HEIGHT}" role="img" aria-label="{html.escape(title)}" '
        f'style="width: 100%; display: block; color: inherit">{"".join(parts)}</svg>'
    )


def _piece(region: Region, end: int, low: bool) -> str:
    left, right = (_MAP_WIDTH * place / end for place in (region.start, region.end))
    width = max(right - left, 3)
    anchor = "end" if left > _MAP_WIDTH * 0.8 else "middle"
    at = right if anchor == "end" else left + width / 2
    return (
        f'<rect x="{left:.1f}" y="30" width="{width:.1f}" height="26" fill="currentColor" '
        f'fill-opacity="{_FILLS[region.what]}"/>' + _label(at, 72 if low else 22, region.what, anchor)
    )


def _label(x: float, y: float, text: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-size="12.5"'
    return f'<text {place} fill="currentColor">{html.escape(text)}</text>'


class Privileges(Widget):
    """Who runs in which ring, one kind of guest at a time.

    >>> Privileges().describe().splitlines()[2]
    "PV, 64 bits: programs in ring 3, guest's kernel in ring 3, Xen in ring 0"
    """

    _esm = source("parts.js", _HERE / "privileges.js")
    _css = _CSS
    modes: traitlets.List[dict[str, str]] = traitlets.List().tag(sync=True)
    #: Number of the kind that is shown.
    chosen = traitlets.Int(0).tag(sync=True)

    def __init__(self, chosen: int = 0) -> None:
        super().__init__(
            modes=[
                {"name": mode.name, "svg": picture(mode), "why": mode.why, "way_in": mode.way_in}
                for mode in MODES
            ],
            chosen=chosen,
        )

    def describe(self) -> str:
        """Return who runs where, for every kind."""
        return "\n".join(map(in_words, MODES))

    def picture(self) -> str:
        """Return the picture of every kind."""
        return "".join(
            f"<h3>{html.escape(mode.name)}</h3>{picture(mode)}<p>{html.escape(mode.why)}</p>"
            for mode in MODES
        )


def table(tries: Sequence[Tried]) -> str:
    """What came of trying, as a text of columns: what, in a guest, in dom0.

    >>> from xenlab.xenoserver.powers import POWERS
    >>> print(table([Tried(POWERS[1], "EPERM", True)]))
    what                         a guest   dom0
    see which domains there are  EPERM     done
    """
    rows = [("what", "a guest", "dom0")]
    rows += [
        (each.power.what, each.guest, {True: "done", False: "failed", None: ""}[each.dom0]) for each in tries
    ]
    wide = max(len(row[0]) for row in rows)
    return "\n".join(f"{what:<{wide}}  {guest:<9} {dom0}".rstrip() for what, guest, dom0 in rows)
