"""What is inside a saved guest: its three layers, record by record, and its pages by kind."""

from __future__ import annotations

import html
from itertools import groupby

import traitlets

from xenlab.migration.frames_view import svg
from xenlab.migration.stream import Record, SaveFile
from xenlab.ui.theme import DARK, PALE, PALETTE
from xenlab.ui.widget import Widget, source

_FILLS = {"xl": PALE["grey"], "libxl": PALETTE["yellow"], "libxc": PALE["sky"]}
#: What a record is for, in a few words (docs/specs/libxc-migration-stream.pandoc).
_MEANING = {
    "LIBXC_CONTEXT": "here the memory begins",
    "STATIC_DATA_END": "what never changes has been sent",
    "X86_CPUID_POLICY": "which processor the guest may see",
    "X86_MSR_POLICY": "and which of its registers",
    "PAGE_DATA": "memory pages",
    "HVM_CONTEXT": "registers and virtual devices",
    "HVM_PARAMS": "pages shared with Xen",
    "X86_TSC_INFO": "the guest's clock counter",
    "X86_PV_INFO": "32 or 64 bits, depth of page tables",
    "X86_PV_P2M_FRAMES": "where the table of pages is",
    "X86_PV_VCPU_BASIC": "registers",
    "X86_PV_VCPU_XSAVE": "more registers",
    "X86_PV_VCPU_MSRS": "still more registers",
    "SHARED_INFO": "the page shared with Xen",
    "VERIFY": "what follows is for checking",
    "EMULATOR_XENSTORE_DATA": "the emulator's notes",
    "EMULATOR_CONTEXT": "the emulator's state",
    "END": "the end of this layer",
}


class StreamPicture(Widget):
    """A saved guest taken apart: headers and records in the order of the file, and its pages counted.

    `saved` is what `xenlab.migration.stream.read_save` found. Blocks of one kind in a row are drawn as one.
    Press a block to see what it is for, or ask from a cell: ``picture.about("PAGE_DATA")``.
    """

    _esm = (
        source("parts.js")
        + """
function render({ model, el }) {
  const picture = h("div", { html: model.get("drawing") });
  picture.firstElementChild.setAttribute("role", "group"); // an image has no buttons
  const told = h("p", { class: "xl-caption", role: "status" });
  const say = (block) => { told.textContent = block.dataset.told; };
  for (const block of picture.querySelectorAll("[data-told]")) {
    block.addEventListener("click", () => say(block));
    block.addEventListener("focus", () => say(block));
  }
  told.textContent = "Press a block, or reach it with Tab, to see what it is for.";
  el.append(h("div", { class: "xl xl-stream" }, h("h3", {}, model.get("title")), picture, told));
}

export default { render };
"""
    )
    title = traitlets.Unicode().tag(sync=True)
    drawing = traitlets.Unicode().tag(sync=True)

    def __init__(self, saved: SaveFile, *, simulated: bool) -> None:
        self._saved = saved
        how = "simulated" if simulated else "written by a real Xen"
        super().__init__(title=f"A guest in its stream, {saved.guest}, {saved.size / 2**20:.1f} MiB ({how})")
        self._blocks = list(_blocks(saved))
        self.drawing = _draw(saved, self._blocks)

    def about(self, name: str) -> str:
        """Return what a record of this name is for, how often it comes, and how long it is."""
        return (
            "\n".join(told for block, _, told in self._blocks if block == name)
            or f"no record is called {name}"
        )

    def describe(self) -> str:
        """Return every block in order, with what it is for."""
        return "\n".join([self.title, *(f"  {told}" for _, _, told in self._blocks), _page_line(self._saved)])

    def picture(self) -> str:
        """Return the drawing."""
        return f"<h3>{self.title}</h3>{self.drawing}"


def _blocks(saved: SaveFile) -> list[tuple[str, str, str]]:
    """Return (name, layer, sentence) for each run of like records, the xl header first."""
    name = saved.config.get("c_info", {})
    called = name.get("name", "?") if isinstance(name, dict) else "?"
    head = (
        f"xl header and configuration: {saved.optional_bytes:,} bytes of JSON; the guest is called {called}"
    )
    found = [("xl header", "xl", head)]
    for (layer, kind), run in groupby(saved.records, lambda record: (record.layer, record.name)):
        records: list[Record] = list(run)
        total = sum(record.length for record in records)
        times = f" × {len(records)}" if len(records) > 1 else ""
        found.append(
            (
                kind,
                layer,
                f"{layer} {kind}{times}: {_MEANING.get(kind, 'known to newer tools')}, {total:,} bytes",
            )
        )
    return found


def _page_line(saved: SaveFile) -> str:
    empty = sum(saved.page_types.values()) - saved.pages_with_data
    filled = f"{saved.pages_with_data:,} pages with contents, {saved.zero_pages:,} of them zero"
    return f"{filled}; {empty:,} page numbers with none"


def _draw(saved: SaveFile, blocks: list[tuple[str, str, str]]) -> str:
    parts: list[str] = []
    x, y = 6, 26
    for at, (layer, fill) in zip((6, 126, 246), _FILLS.items(), strict=True):
        parts.append(
            f"<rect x='{at}' y='3' width='12' height='11' fill='{fill}' stroke='{DARK}' stroke-width='.7'/>"
            f"<text x='{at + 18}' y='13' class='small'>layer of {layer}</text>"
        )
    for name, layer, told in blocks:
        wide = 7.6 * len(name) + 18
        said = html.escape(told, quote=True)
        if x + wide > 774:
            x, y = 6, y + 38
        parts.append(
            f"<g tabindex='0' role='button' aria-label='{said}' data-told='{said}' style='cursor:pointer'>"
            f"<title>{html.escape(told)}</title>"
            f"<rect x='{x:.0f}' y='{y}' width='{wide:.0f}' height='30' rx='4' fill='{_FILLS[layer]}' "
            f"stroke='{DARK}' stroke-width='.8'/>"
            f"<text x='{x + wide / 2:.0f}' y='{y + 19}' text-anchor='middle' class='small dark'>"
            f"{html.escape(name)}</text></g>"
        )
        x += round(wide) + 6
    y += 52
    with_data, zero = saved.pages_with_data, saved.zero_pages
    empty = sum(saved.page_types.values()) - with_data
    kinds = (
        ("with contents", with_data - zero, PALE["sky"]),
        ("all zero", zero, PALE["grey"]),
        ("only announced", empty, "none"),
    )
    total = max(1, with_data + empty)
    left, edge = 6.0, "stroke='currentColor' stroke-opacity='.6'"
    for _, number, fill in kinds:
        width = 768 * number / total
        parts.append(f"<rect x='{left:.1f}' y='{y}' width='{width:.1f}' height='20' fill='{fill}' {edge}/>")
        left += width
    for at, (word, number, fill) in zip((6, 266, 526), kinds, strict=True):
        parts.append(
            f"<rect x='{at}' y='{y + 32}' width='12' height='11' fill='{fill}' {edge}/>"
            f"<text x='{at + 18}' y='{y + 42}' class='small'>{number:,} pages {word}</text>"
        )
    return svg(780, y + 52, "The records of a saved guest, and its pages", *parts)
