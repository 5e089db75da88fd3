"""Who runs at which privilege: the rings of an x86, and what kinds of guests make of them.

The processor has four levels, called rings: 0 may do everything, 3 is for programs. Page tables know only two: rings 0
to 2 count as supervisor, 3 as user. Processors with VT-x or AMD-V have the four rings twice: once for the hypervisor
(*root*), once for guests (*non-root*).

Sources: SOSP 2003, section 3.1.2 (ring 1); xen/include/public/arch-x86/xen-x86_64.h and xen/arch/x86/x86_64/entry.S at
RELEASE-4.17.7 (ring 3); Intel SDM volume 3, chapter 24 (non-root operation).
"""

from __future__ import annotations

import html
from dataclasses import dataclass

WHERE = ("guest", "host")  # non-root, root; the first is empty on processors without


@dataclass(frozen=True)
class Runner:
    """Something that runs: its name, its ring, in which half of the processor, and whether it is the hypervisor."""

    name: str
    ring: int
    root: bool = True
    hypervisor: bool = False


@dataclass(frozen=True)
class Mode:
    """One way to run a system: who runs where, what the guest's kernel loses, and how it gets into Xen."""

    name: str
    runners: tuple[Runner, ...]
    why: str
    way_in: str
    extended: bool = False  # does the processor have the second half?


MODES = (
    Mode(
        "no hypervisor",
        (Runner("programs", 3), Runner("kernel", 0)),
        "The kernel has the machine. Rings 1 and 2 stand empty: no system that matters uses them.",
        "nowhere to go",
    ),
    Mode(
        "PV, 32 bits",
        (Runner("programs", 3), Runner("guest's kernel", 1), Runner("Xen", 0, hypervisor=True)),
        "Xen takes ring 0, and the kernel moves to ring 1, where nobody was. Page tables do not protect ring 0 from "
        "ring 1; segments do: they end below Xen's memory.",
        "int $0x82",
    ),
    Mode(
        "PV, 64 bits",
        (Runner("programs", 3), Runner("guest's kernel", 3), Runner("Xen", 0, hypervisor=True)),
        "In 64-bit mode segments have no ends any more. Only page tables protect, and they know two levels. So the "
        "kernel moves to ring 3, beside its own programs; page tables of its own keep them out. dom0 runs like this.",
        "syscall",
    ),
    Mode(
        "HVM",
        (
            Runner("programs", 3, root=False),
            Runner("guest's kernel", 0, root=False),
            Runner("QEMU in dom0", 3),
            Runner("Xen", 0, hypervisor=True),
        ),
        "The processor has a second set of rings. The kernel is in ring 0 again, of the guest's half, and does not "
        "notice. A whole PC must be imitated for it: a program in dom0 does that.",
        "vmcall, vmmcall",
        extended=True,
    ),
    Mode(
        "PVH",
        (
            Runner("programs", 3, root=False),
            Runner("guest's kernel", 0, root=False),
            Runner("Xen", 0, hypervisor=True),
        ),
        "As HVM, with no PC imitated: the kernel knows Xen, and gets disk, network and console from dom0, as a PV "
        "guest does.",
        "vmcall, vmmcall",
        extended=True,
    ),
)

WIDTH, ROW, LEFT = 420, 46, 64


def picture(mode: Mode) -> str:
    """Draw who runs in which ring, ring 3 on top, as an SVG that takes the page's colours.

    >>> picture(MODES[2]).count("guest&#x27;s kernel</text>"), "ring 0" in picture(MODES[0])
    (1, True)
    """
    halves = (False, True) if mode.extended else (True,)
    width, top = (WIDTH - LEFT) / len(halves), 24 if mode.extended else 0
    parts = []
    for place, root in enumerate(halves):
        left = LEFT + place * width
        if mode.extended:
            parts.append(
                _text(left + width / 2, 15, "host's half (root)" if root else "guest's half (non-root)", 12)
            )
        for ring in range(4):
            y = top + (3 - ring) * ROW
            parts.append(_box(left + 3, y + 3, width - 6, ROW - 6, 'fill="none" stroke-opacity="0.25"'))
            here = [each for each in mode.runners if each.ring == ring and each.root == root]
            share = (width - 12) / max(len(here), 1)
            parts += [
                _runner(each, left + 6 + number * share, y + 6, share) for number, each in enumerate(here)
            ]
    parts += [
        _text(LEFT / 2 - 4, top + (3 - ring) * ROW + ROW / 2 + 4, f"ring {ring}", 12.5) for ring in range(4)
    ]
    return (
        f'<svg class="xl-rings" viewBox="0 0 {WIDTH} {top + 4 * ROW}" role="img" '
        f'aria-label="{html.escape(in_words(mode))}" '
        f'style="max-width: {WIDTH}px; width: 100%; display: block; color: inherit">{"".join(parts)}</svg>'
    )


def in_words(mode: Mode) -> str:
    """Who runs where, as a sentence.

    >>> in_words(MODES[4])
    "PVH: programs in guest ring 3, guest's kernel in guest ring 0, Xen in ring 0"
    """
    places = (f"{each.name} in {'' if each.root else 'guest '}ring {each.ring}" for each in mode.runners)
    return f"{mode.name}: {', '.join(places)}"


def _runner(runner: Runner, x: float, y: float, width: float) -> str:
    weight, stroke = ("bold", 3) if runner.hypervisor else ("normal", 1.5)
    paint = f'fill="currentColor" fill-opacity="0.07" stroke-width="{stroke}"'
    box = _box(x + 2, y, width - 4, ROW - 12, paint)
    return box + _text(x + width / 2, y + ROW / 2 - 2, runner.name, 13, weight)


def _box(x: float, y: float, width: float, height: float, paint: str) -> str:
    size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="4"'
    return f'<rect {size} stroke="currentColor" {paint}/>'


def _text(x: float, y: float, text: str, size: float, weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="{size}" font-weight="{weight}"'
    return f'<text {place} fill="currentColor">{html.escape(text)}</text>'


def ring_of(selector: int) -> int:
    """The ring that a code segment's selector names: its last two bits.

    >>> ring_of(0xE033), ring_of(0x10)
    (3, 0)
    """
    return selector & 3
