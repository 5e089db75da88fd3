"""Balloons at work: the machine's memory by owner, each guest's pages, and a slider for what each shall have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import traitlets

from xenlab.commands import XenlabError
from xenlab.memory.balloon import Balloon, run
from xenlab.memory.frames import FREE, XEN
from xenlab.memory.machine import Machine
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.text import to_html, to_plain
from xenlab.ui.widget import source

_HERE = Path(__file__).parent

#: MiB of the machine, and what Xen and dom0 keep of it. One square, and one page of the model, is 1 MiB.
MACHINE, XENS, DOM0S = 256, 24, 64
#: A batch of the balloon driver is 512 pages, which are 2 MiB. How long one takes, seconds.
BATCH, BATCH_SECONDS = 2, 0.1
#: How many moments the picture remembers: each move of a slider sends all of them to the page.
MOMENTS = 120


@dataclass(frozen=True)
class Guest:
    """A guest: what it has in the beginning, what it was built for, and what its kernel needs (MiB)."""

    name: str
    memory: int
    maximum: int
    needs: int = 24


class Ballooning(Player):
    """A machine of 256 MiB with a few guests; setting a guest's target makes its balloon work, batch by batch.

    The machine goes on from where it is; the picture can be played again. Targets can be set from Python too:

    >>> board = Ballooning([Guest("web", 72, 96), Guest("db", 64, 96)])
    >>> board.set("web", 40)
    'web has 40 MiB, db has 64 MiB; 64 MiB are free.'
    >>> board.set("db", 97)
    Traceback (most recent call last):
    ...
    xenlab.commands.XenlabError: target(=97) of db must be 0 to 96 MiB, what it was built for
    """

    needs_kernel = ".guest input"
    _esm = PLAYER_JS + source(_HERE / "balloon.js")
    _css = source("theme.css", _HERE / "balloon.css")

    #: A dict for each guest: name, letter, maximum.
    guests: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: What the reader sets, MiB, by guest.
    targets: traitlets.Dict[str, int] = traitlets.Dict().tag(sync=True)
    #: At each moment {owners, free, guests: [{has, target, pages}]}: owners has a letter for each square.
    moments: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, guests: Sequence[Guest]) -> None:
        self._machine = Machine(MACHINE, XENS)
        self._machine.add(0, DOM0S)
        self._balloons: dict[str, Balloon] = {}
        for domid, guest in enumerate(guests, 1):
            self._machine.add(domid, guest.memory, room=guest.maximum)
            self._balloons[guest.name] = Balloon(self._machine, domid, needs=guest.needs, batch=BATCH)
        self._names = {driver.domid: name for name, driver in self._balloons.items()}
        self._maximum = {guest.name: guest.maximum for guest in guests}
        self._letters = {FREE: ".", XEN: "X", 0: "0", **{n: name[0] for n, name in self._names.items()}}
        super().__init__(
            ["Each square is 1 MiB of the machine, with a letter for its owner. Move a slider."],
            period=160,
            guests=[
                {"name": guest.name, "letter": guest.name[0], "maximum": guest.maximum} for guest in guests
            ],
            targets={guest.name: guest.memory for guest in guests},
            moments=[self._seen()],
        )
        self.observe(self._moved, "targets")

    def set(self, name: str, target: int) -> str:
        """Set a guest's target in MiB, as `xl mem-set` does, and return what comes of it.

        Raises `XenlabError` if there is no such guest, or if it was built for less.
        """
        if name not in self._balloons:
            raise XenlabError(f"name(={name!r}) must be one of these guests: {', '.join(self._balloons)}")
        if not 0 <= target <= self._maximum[name]:
            raise XenlabError(
                f"target(={target}) of {name} must be 0 to {self._maximum[name]} MiB, what it was built for"
            )
        self.targets = {**self.targets, name: target}
        return self._summary()

    def _moved(self, change: Mapping[str, Any]) -> None:
        for name, target in change["new"].items():
            if target != change["old"][name]:
                self._balloons[name].target = int(target)
        captions, moments = self._captions[:], list(self.moments)
        for caption in self._play():
            captions.append(caption)
            moments.append(self._seen())
        dropped = max(len(captions) - MOMENTS, 0)
        self._captions = captions[dropped:]
        with self.hold_sync():
            self.moments = moments[dropped:]
            self.captions = [to_html(caption) for caption in self._captions]
            self.moment = min(max(int(self.moment) - dropped, 0), len(self.captions) - 1)

    def _play(self) -> Iterator[str]:
        """Let the drivers work until none has anything to do; a caption for each batch."""
        before = {name: driver.current for name, driver in self._balloons.items()}
        for time, driver in run(list(self._balloons.values()), 60, BATCH_SECONDS):
            name = self._names[driver.domid]
            moved = driver.current - before[name]
            before[name] = driver.current
            if moved or driver.current != driver.target:
                yield f"*{time:.1f} s.* {self._told(name, driver, moved)}"

    def _told(self, name: str, driver: Balloon, moved: int) -> str:
        now = f"It has {driver.current} MiB, its target is {driver.target}."
        if moved < 0:
            return (
                f"The balloon in **{name}** takes {-moved} MiB from its kernel; the frames go to Xen. {now}"
            )
        if moved > 0:
            return (
                f"Xen gives {moved} MiB to **{name}**; its balloon lets go of as many pages. {now} "
                f"{self._machine.frames.free} MiB are free."
            )
        if driver.current > driver.target:
            what = f"The kernel of **{name}** has nothing left to give"
        else:
            what = f"**{name}** asks for frames, and Xen has none"
        after = "It has tried four times, and lets it rest." if driver.gave_up else "It will try again later."
        return f"{what}. {after} {now}"

    def _seen(self) -> dict[str, Any]:
        return {
            "owners": "".join(self._letters[owner] for owner in self._machine.frames.owner.tolist()),
            "free": self._machine.frames.free,
            "guests": [
                {
                    "has": driver.current,
                    "target": driver.target,
                    "pages": "".join(
                        ".#"[mfn >= 0] for mfn in self._machine.domains[driver.domid].p2m.tolist()
                    ),
                }
                for driver in self._balloons.values()
            ],
        }

    def _summary(self) -> str:
        each = ", ".join(f"{name} has {driver.current} MiB" for name, driver in self._balloons.items())
        return f"{each}; {self._machine.frames.free} MiB are free."

    def describe(self) -> str:
        """Return what everybody has, and every moment's caption."""
        return f"{self._summary()}\n{super().describe()}"

    def picture(self) -> str:
        """Return the squares of this moment as text, with what everybody has."""
        owners = self.moments[int(self.moment)]["owners"]
        rows = "\n".join(owners[at : at + 32] for at in range(0, len(owners), 32))
        letters = ", ".join(f"{name[0]} {name}" for name in self._balloons)
        return (
            f"<pre>{escape(rows)}</pre><p>One letter is 1 MiB: X Xen, 0 dom0, {escape(letters)}, . free. "
            f"{escape(self._summary())}</p><p>{escape(to_plain(self._captions[int(self.moment)]))}</p>"
        )
