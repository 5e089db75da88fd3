"""Tables of physical volumes, groups and logical volumes, column for column as ``pvs``, ``vgs`` and ``lvs`` print them.

Source: LVM2, lib/report/columns.h, lib/report/report.c, libdm/libdm-report.c; lvs(8) for the letters of Attr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from xenlab.storage.lvm.names import LvmError
from xenlab.storage.lvm.sizes import format_size
from xenlab.storage.lvm.volumes import LogicalVolume, PhysicalVolume, Segment, VolumeGroup

Kind = Literal["lvs", "vgs", "pvs"]


class Row(NamedTuple):
    """What one line is about; a column looks at the part it needs."""

    group: VolumeGroup | None = None
    volume: LogicalVolume | None = None
    segment: Segment | None = None
    pv: PhysicalVolume | None = None


@dataclass(frozen=True)
class Style:
    """How a report is printed: the options of the commands."""

    headings: bool = True
    units: str = "r"
    suffix: bool = True
    separator: str | None = None


@dataclass(frozen=True)
class _Column:
    """A column: heading, least width, and its cell; numbers and sizes stand at the right, sizes are in bytes."""

    heading: str
    cell: Callable[[Row], str | int]
    size: bool = False
    width: int = 0

    def text(self, row: Row, style: Style) -> tuple[str, bool]:
        """Return the cell's text and whether it stands at the right."""
        value = self.cell(row)
        if isinstance(value, str):
            return value, self.size
        return (format_size(value, style.units, style.suffix) if self.size else str(value)), True


def data_percent(volume: LogicalVolume) -> str:
    """Return how full a snapshot is, as ``Data%`` shows it; nothing for other volumes.

    A new one counts as empty although header and table take room. Source: lib/snapshot/snapshot.c:
    _snap_target_percent.
    """
    snapshot = volume.snapshot
    if snapshot is None:
        return ""
    store = snapshot.store
    if not store.valid or store.used_sectors == store.total_sectors:
        return "100.00"
    if store.used_sectors == store.metadata_sectors:
        return "0.00"
    percent = 100 * store.used_sectors / store.total_sectors
    return f"{min(max(percent, 0.01), 99.99):.2f}"


def lv_attr(volume: LogicalVolume) -> str:
    """Return ``Attr``: what it is, writable, inherited allocation, active or Invalid, open, target type."""
    kind = "s" if volume.origin else "o" if volume.snapshots else "-"
    invalid = volume.snapshot is not None and not volume.snapshot.store.valid
    return "".join(
        [
            kind,
            "w",
            "i",
            "-",
            "I" if invalid else "a",
            "o" if volume.open_count else "-",
            "-" if kind == "-" else "s",
            "---",
        ]
    )


def _volume(of: Callable[[LogicalVolume], str | int]) -> Callable[[Row], str | int]:
    return lambda row: of(row.volume) if row.volume else ""


def _group(of: Callable[[VolumeGroup], str | int]) -> Callable[[Row], str | int]:
    return lambda row: of(row.group) if row.group else ""


def _pv(of: Callable[[PhysicalVolume], str | int]) -> Callable[[Row], str | int]:
    return lambda row: of(row.pv) if row.pv else ""


def _segment(of: Callable[[Segment, VolumeGroup], str | int]) -> Callable[[Row], str | int]:
    return lambda row: of(row.segment, row.group) if row.segment and row.group else ""


_PERCENT = _volume(data_percent)
_LV_COLUMNS: dict[str, _Column] = {
    "lv_name": _Column("LV", _volume(lambda lv: lv.name), width=4),
    "lv_full_name": _Column("LV", _volume(lambda lv: lv.full_name), width=4),
    "lv_path": _Column("Path", _volume(lambda lv: lv.path)),
    "lv_dm_path": _Column("DMPath", _volume(lambda lv: f"/dev/mapper/{lv.dm_name}")),
    "lv_attr": _Column("Attr", _volume(lv_attr)),
    "lv_size": _Column("LSize", _volume(lambda lv: lv.allocated), size=True),
    "lv_tags": _Column("LV Tags", _volume(lambda lv: ",".join(sorted(lv.tags)))),
    "seg_count": _Column("#Seg", _volume(lambda lv: len(lv.segments))),
    "pool_lv": _Column("Pool", lambda row: ""),
    "origin": _Column("Origin", _volume(lambda lv: lv.origin.name if lv.origin else "")),
    "origin_size": _Column(
        "OSize", _volume(lambda lv: lv.size if lv.origin or lv.snapshots else ""), size=True
    ),
    "data_percent": _Column("Data%", _PERCENT, width=6),
    "snap_percent": _Column("Snap%", _PERCENT, width=6),
    "metadata_percent": _Column("Meta%", lambda row: "", width=6),
    "move_pv": _Column("Move", lambda row: ""),
    "mirror_log": _Column("Log", lambda row: ""),
    "copy_percent": _Column("Cpy%Sync", lambda row: ""),
    "convert_lv": _Column("Convert", lambda row: ""),
    "chunk_size": _Column("Chunk", _volume(lambda lv: lv.chunk_size if lv.origin else 0), size=True),
    "devices": _Column("Devices", _segment(lambda part, _: f"{part.pv.path}({part.first})")),
    "seg_size": _Column("SSize", _segment(lambda part, group: part.count * group.extent_size), size=True),
    "seg_size_pe": _Column("SSize", _segment(lambda part, _: part.count)),
}
_VG_COLUMNS: dict[str, _Column] = {
    "vg_name": _Column("VG", _group(lambda vg: vg.name)),
    "vg_attr": _Column("Attr", _group(lambda vg: "wz--n-"), width=5),
    "pv_count": _Column("#PV", _group(lambda vg: len(vg.pvs))),
    "lv_count": _Column("#LV", _group(lambda vg: len(vg.volumes))),
    "snap_count": _Column("#SN", _group(lambda vg: sum(1 for lv in vg.volumes.values() if lv.origin))),
    "vg_tags": _Column("VG Tags", _group(lambda vg: ",".join(sorted(vg.tags)))),
    "vg_size": _Column("VSize", _group(lambda vg: vg.extents * vg.extent_size), size=True),
    "vg_free": _Column("VFree", _group(lambda vg: vg.free * vg.extent_size), size=True),
    "vg_extent_size": _Column("Ext", _group(lambda vg: vg.extent_size), size=True),
    "vg_extent_count": _Column("#Ext", _group(lambda vg: vg.extents)),
    "vg_free_count": _Column("Free", _group(lambda vg: vg.free)),
}
_PV_COLUMNS: dict[str, _Column] = {
    "pv_name": _Column("PV", _pv(lambda pv: pv.path), width=10),
    "pv_fmt": _Column("Fmt", _pv(lambda pv: "lvm2")),
    "pv_attr": _Column("Attr", _pv(lambda pv: "a--" if pv.group else "---")),
    "pv_size": _Column("PSize", _pv(lambda pv: pv.size), size=True),
    "pv_free": _Column(
        "PFree", _pv(lambda pv: pv.free * pv.group.extent_size if pv.group else pv.size), size=True
    ),
    "pv_used": _Column(
        "Used", _pv(lambda pv: (pv.extents - pv.free) * pv.group.extent_size if pv.group else 0), size=True
    ),
    "pv_pe_count": _Column("PE", _pv(lambda pv: pv.extents), width=3),
    "pv_pe_alloc_count": _Column("Alloc", _pv(lambda pv: pv.extents - pv.free)),
    "dev_size": _Column("DevSize", _pv(lambda pv: pv.device.size), size=True),
}
_COLUMNS = _LV_COLUMNS | _VG_COLUMNS | _PV_COLUMNS
_OF: dict[Kind, dict[str, _Column]] = {
    "lvs": _LV_COLUMNS | _VG_COLUMNS,
    "vgs": _VG_COLUMNS,
    "pvs": _PV_COLUMNS | _VG_COLUMNS,
}
_PER_SEGMENT = {"chunk_size", "devices", "seg_size", "seg_size_pe"}
_DEFAULT: dict[Kind, str] = {
    "lvs": "lv_name,vg_name,lv_attr,lv_size,pool_lv,origin,data_percent,metadata_percent,move_pv,mirror_log,"
    "copy_percent,convert_lv",
    "vgs": "vg_name,pv_count,lv_count,snap_count,vg_attr,vg_size,vg_free",
    "pvs": "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free",
}


def column_names(kind: Kind, options: str | None) -> list[str]:
    """Return the columns that ``-o`` asks for; ``+`` adds to the default ones, the prefix may be left out.

    Raises `LvmError` for a column that does not exist (or that xenlab's LVM does not have).

    >>> column_names("vgs", "+extent_size")[-2:]
    ['vg_free', 'vg_extent_size']
    """
    if options is None:
        return _DEFAULT[kind].split(",")
    names = _DEFAULT[kind].split(",") if options.startswith("+") else []
    prefix = f"{kind[:2]}_"
    for name in options.removeprefix("+").split(","):
        full = name if name in _OF[kind] else prefix + name
        if full not in _OF[kind]:
            raise LvmError(f"Unrecognised field: {name}")
        names.append(full)
    return names


def rows_of_volumes(volumes: Iterable[LogicalVolume], columns: Sequence[str]) -> list[Row]:
    """Return a row for each volume, by group and name, or for each segment if a column is about segments."""
    ordered = sorted(volumes, key=lambda volume: (volume.group.name, volume.name))
    if _PER_SEGMENT.isdisjoint(columns):
        return [Row(volume.group, volume) for volume in ordered]
    return [Row(volume.group, volume, segment) for volume in ordered for segment in volume.segments]


def render(rows: Sequence[Row], columns: Sequence[str], style: Style) -> str:
    """Return the table, each line after two spaces; nothing at all without rows."""
    if not rows:
        return ""
    shown = [_COLUMNS[name] for name in columns]
    table = [[column.text(row, style) for column in shown] for row in rows]
    headings = [column.heading for column in shown]
    if style.separator is not None:
        lines = [[text for text, _ in line] for line in table]
        lines = [headings, *lines] if style.headings else lines
        return "".join(f"  {style.separator.join(line)}\n" for line in lines)
    widths = [
        max(column.width or len(column.heading), *(len(line[place][0]) for line in table))
        for place, column in enumerate(shown)
    ]
    lines = [
        [
            text.rjust(width) if right else text.ljust(width)
            for (text, right), width in zip(line, widths, strict=True)
        ]
        for line in table
    ]
    if style.headings:
        lines.insert(
            0, [heading.ljust(width)[:width] for heading, width in zip(headings, widths, strict=True)]
        )
    return "".join(f"  {' '.join(line)}\n" for line in lines)


def dmsetup_status(volumes: Iterable[LogicalVolume]) -> str:
    """Return what ``dmsetup status`` prints for these volumes: device, start and length in sectors, target, its state.

    A snapshot has a second device for its exceptions, and its origin one for the data itself.
    """
    lines: dict[str, list[str]] = {}
    for volume in volumes:
        sectors, name = volume.size // 512, volume.dm_name
        if volume.snapshot:
            lines[name] = [f"0 {sectors} snapshot {volume.snapshot.status()}"]
            name += "-cow"
        elif volume.snapshots:
            lines[name] = [f"0 {sectors} snapshot-origin "]
            name += "-real"
        start = 0
        for segment in volume.segments:
            length = segment.count * volume.group.extent_size // 512
            lines.setdefault(name, []).append(f"{start} {length} linear ")
            start += length
    return "".join(f"{name}: {target}\n" for name in sorted(lines) for target in lines[name])
