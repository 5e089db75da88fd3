"""LVM2's command lines over the model: the same options, the same words, the same exit statuses.

``run(lvm, ["lvcreate", "-s", "-L", "1G", "-n", "monday", "vg0/web"])`` does to the model what the command
does to a dom0, and returns what it would have printed. Exit status 0 is success, 3 a command line that makes
no sense, 5 a refusal.

Source: LVM2 2.03.16 as it runs on Debian 12; tools/lvcreate.c, tools/lvresize.c, tools/toollib.c.
"""

from __future__ import annotations

import getopt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from xenlab.commands import Completed
from xenlab.storage.lvm.manager import Lvm, max_snapshot_extents
from xenlab.storage.lvm.names import SEE_HELP, LvmError
from xenlab.storage.lvm.report import Row, Style, column_names, dmsetup_status, render, rows_of_volumes
from xenlab.storage.lvm.sizes import parse_extents, parse_size, spell_size
from xenlab.storage.lvm.volumes import CHUNK_SIZE, EXTENT_SIZE, LogicalVolume, VolumeGroup


@dataclass
class _Call:
    """One command while it runs: its options and arguments, and what it has printed."""

    lvm: Lvm
    command: str
    options: dict[str, str]
    arguments: list[str]
    answers: Iterator[str]
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    status: int = 0

    def say(self, text: str) -> None:
        """Print a message."""
        self.stdout.append(f"  {text}\n")

    def fail(self, error: LvmError) -> None:
        """Print an error and go on with the next argument; the exit status tells."""
        self.stderr += [f"  {line}\n" for line in str(error).split("\n")]
        self.status = error.status

    def agrees(self, question: str) -> bool:
        """Ask, unless -y or -f was given; without an answer it is no."""
        if "--yes" in self.options or "--force" in self.options:
            return True
        answer = next(self.answers, None)
        self.stderr.append(f"{question} [y/n]: " + ("[n]\n" if answer is None else ""))
        return answer is not None and answer.strip().lower() in ("y", "yes")

    def wrong(self, text: str) -> LvmError:
        """Return the error for a command line that makes no sense."""
        return LvmError(f"{text}\n{SEE_HELP.format(self.command)}", status=3)

    def each(self, names: Iterable[str], do: Callable[[str], None]) -> None:
        """Do something for each name; one that fails does not stop the rest."""
        for name in names:
            try:
                do(name)
            except LvmError as error:
                self.fail(error)


def run(lvm: Lvm, argv: Sequence[str], stdin: str = "") -> Completed:
    """Run one of the `COMMANDS` and return what it printed and its exit status.

    Arguments: `lvm`, the model it works on; `argv`, the command with its arguments; `stdin`, answers to its
    questions.
    Raises `KeyError` for a command that is not among `COMMANDS`.

    >>> from xenlab.storage.blockdev import MemoryDisk
    >>> lvm = Lvm({"/dev/xvdb": MemoryDisk(1 << 30)})
    >>> print(run(lvm, ["vgcreate", "vg0", "/dev/xvdb"]).stdout, end="")
      Physical volume "/dev/xvdb" successfully created.
      Volume group "vg0" successfully created
    >>> print(run(lvm, ["lvcreate", "-L", "101M", "-n", "web", "vg0"]).stdout, end="")
      Rounding up size to full physical extent 104.00 MiB
      Logical volume "web" created.
    >>> print(run(lvm, ["lvs", "-o", "vg_name,lv_name,lv_size"]).stdout, end="")
      VG  LV   LSize
      vg0 web  104.00m
    """
    command, *words = argv
    spec = COMMANDS[command]
    call = _Call(lvm, command, {}, [], iter(stdin.splitlines()))
    short = "".join(option.short + ":" * option.valued for option in spec.options)
    long = [option.long + "=" * option.valued for option in spec.options]
    try:
        pairs, call.arguments = getopt.gnu_getopt(words, short, long)
    except getopt.GetoptError as error:
        return Completed(tuple(argv), "", _bad_option(command, error), 3)
    names = {f"-{option.short}": option.long for option in spec.options if option.short}
    call.options = {names.get(name, name.removeprefix("--")): value for name, value in pairs}
    if len(call.arguments) < spec.least:
        usage = f"  {command} {spec.usage}\n\n"
        fault = f"No command with matching syntax recognised.  Run '{command} --help' for more information."
        return Completed(tuple(argv), usage, f"  {fault}\n  Correct command syntax is:\n", 3)
    try:
        spec.do(call)
    except LvmError as error:
        call.fail(error)
    return Completed(tuple(argv), "".join(call.stdout), "".join(call.stderr), call.status)


def _bad_option(command: str, error: getopt.GetoptError) -> str:
    """Say what is wrong with an option in the words of the C library."""
    dashed = f"'--{error.opt}'" if len(error.opt) > 1 else f"-- '{error.opt}'"
    if "requires argument" in error.msg:
        fault = (
            f"option {dashed} requires an argument"
            if len(error.opt) > 1
            else f"option requires an argument {dashed}"
        )
    else:
        fault = f"unrecognized option {dashed}" if len(error.opt) > 1 else f"invalid option {dashed}"
    return f"{command}: {fault}\n  Error during parsing of command line.\n"


# ---- physical volumes and groups


def _pvcreate(call: _Call) -> None:
    def create(path: str) -> None:
        call.lvm.create_pv(path)
        call.say(f'Physical volume "{path}" successfully created.')

    call.each(call.arguments, create)


def _pvremove(call: _Call) -> None:
    def remove(path: str) -> None:
        call.lvm.remove_pv(path)
        call.say(f'Labels on physical volume "{path}" successfully wiped.')

    call.each(call.arguments, remove)


def _vgcreate(call: _Call) -> None:
    name, *paths = call.arguments
    name = name.removeprefix("/dev/")
    extent_size = parse_size("--physicalextentsize", call.options.get("physicalextentsize", "4M"))[1]
    if not extent_size:
        raise call.wrong("Physical extent size may not be zero")
    call.lvm.check_new_vg(name)
    _ready(call, paths)
    call.lvm.create_vg(name, paths, extent_size)
    call.say(f'Volume group "{name}" successfully created')


def _vgextend(call: _Call) -> None:
    name, *paths = call.arguments
    _ready(call, paths)
    call.lvm.extend_vg(name, paths)
    call.say(f'Volume group "{name}" successfully extended')


def _ready(call: _Call, paths: list[str]) -> None:
    """Make physical volumes of the disks that are none yet; all must be there."""
    missing = [f"No device found for {path}." for path in paths if path not in call.lvm.devices]
    if missing:
        several = ["Command requires all devices to be found."] if len(paths) > 1 else []
        raise LvmError("\n".join(missing + several))
    for path in paths:
        if path not in call.lvm.pvs:
            call.lvm.create_pv(path)
            call.say(f'Physical volume "{path}" successfully created.')


def _vgremove(call: _Call) -> None:
    def remove(name: str) -> None:
        group = call.lvm.group(name)
        if group.volumes:
            question = f'Do you really want to remove volume group "{name}" containing {len(group.volumes)} logical volumes?'
            if not call.agrees(question):
                raise LvmError(f'Volume group "{name}" not removed')
        for volume in list(group.volumes.values()):
            if volume.name in group.volumes:  # a snapshot may have gone with its origin
                _remove_volume(call, volume)
        call.lvm.remove_vg(name)
        call.say(f'Volume group "{name}" successfully removed')

    call.each(call.arguments, remove)


# ---- logical volumes


def _lvcreate(call: _Call) -> None:
    snapshot = "snapshot" in call.options
    name = call.options.get("name")
    if "size" in call.options and "extents" in call.options:
        raise call.wrong("Please specify either size or extents (not both).")
    if "size" not in call.options and "extents" not in call.options:
        if snapshot:
            raise LvmError("Please specify either size or extents with snapshots.")
        raise LvmError(
            "No command with matching syntax recognised.  Run 'lvcreate --help' for more information.", 3
        )
    chunk_size = _chunk_size(call)
    target, *disks = call.arguments
    target = target.removeprefix("/dev/")
    if snapshot and "/" not in target:
        raise call.wrong("The origin name should include the volume group.")
    if not snapshot and "/" in target:
        raise call.wrong("Volume group name expected (no slash)")
    group = call.lvm.group(target.partition("/")[0])
    if snapshot:
        origin = call.lvm.origin(target)
        extents = _new_extents(call, group, origin, chunk_size)
        call.say(
            f'Logical volume "{call.lvm.create_snapshot(origin, name, extents, chunk_size, disks).name}" created.'
        )
    else:
        extents = _new_extents(call, group, None, chunk_size)
        call.say(f'Logical volume "{call.lvm.create_lv(group.name, name, extents, disks).name}" created.')


def _chunk_size(call: _Call) -> int:
    text = call.options.get("chunksize")
    if text is None:
        return CHUNK_SIZE
    size = parse_size("--chunksize", text, unit="k")[1]
    if size & (size - 1) or not 4096 <= size <= 512 * 1024:
        raise call.wrong("Chunk size must be a power of 2 in the range 4K to 512K.")
    return size


def _new_extents(call: _Call, group: VolumeGroup, origin: LogicalVolume | None, chunk_size: int) -> int:
    """Work out how many extents a new volume asks for, and say where that is not what was given."""
    most = max_snapshot_extents(origin.size, chunk_size, group.extent_size) if origin else 0
    if "size" in call.options:
        size = parse_size("--size", call.options["size"])[1]
        if not size:
            raise call.wrong("--size may not be zero.")
        extents = -(-size // group.extent_size)
        if size % group.extent_size:
            call.say(f"Rounding up size to full physical extent {spell_size(extents * group.extent_size)}")
    else:
        _, extents, base = parse_extents("--extents", call.options["extents"])
        if not extents:
            raise call.wrong("--extents may not be zero.")
        if base:
            extents = _share(call, group, origin, extents, base, most)
    if origin and extents > most:
        asked, given = (spell_size(count * group.extent_size) for count in (extents, most))
        call.say(f"Reducing COW size {asked} down to maximum usable size {given}.")
        extents = most
    return extents


def _share(
    call: _Call, group: VolumeGroup, origin: LogicalVolume | None, percent: int, base: str, most: int
) -> int:
    """Turn a percentage for ``lvcreate -l`` into extents; never more than are free."""
    if base == "LV" or (base == "ORIGIN" and not origin):
        raise LvmError(f"Please express size as %FREE{', %ORIGIN' if origin else ''}, %PVS or %VG.")
    if base == "ORIGIN" and origin:
        extents = most - origin.extents + -(-origin.extents * percent // 100)
    else:
        extents = (group.free if base == "FREE" else group.extents) * percent // 100
    if base == "VG" and extents > group.free:
        room = spell_size(group.free * group.extent_size)
        call.say(f"Reducing {percent}%VG to remaining free space {room} in VG.")
    extents = min(extents, group.free)
    if not extents:
        raise LvmError("Calculated size of logical volume is 0 extents. Needs to be larger.")
    return extents


def _lvextend(call: _Call) -> None:
    if "size" in call.options and "extents" in call.options:
        raise call.wrong("Please specify either size or extents but not both.")
    if "size" not in call.options and "extents" not in call.options:
        raise LvmError(
            "No command with matching syntax recognised.  Run 'lvextend --help' for more information.", 3
        )
    path = call.arguments[0].removeprefix("/dev/")
    if "/" not in path:
        raise call.wrong("Please specify a logical volume path.")
    group_name, _, volume_name = path.partition("/")
    group = call.lvm.group(group_name)
    if volume_name not in group.volumes:
        raise LvmError(f"Logical volume {volume_name} not found in volume group {group_name}.")
    volume = group.volumes[volume_name]
    before, extents = volume.extents, _grown_extents(call, volume)
    if volume.origin:
        most = max_snapshot_extents(volume.size, volume.chunk_size, group.extent_size)
        if extents > most:
            call.say(f"Reached maximum COW size {spell_size(most * group.extent_size)} ({most} extents).")
            extents = most
    old, new = (f"{spell_size(count * group.extent_size)} ({count} extents)" for count in (before, extents))
    if volume.origin and extents == before:
        call.say(f"Size of logical volume {volume.full_name} unchanged from {old}.")
    else:
        call.lvm.extend_lv(volume, extents)
        call.say(f"Size of logical volume {volume.full_name} changed from {old} to {new}.")
    call.say(f"Logical volume {volume.full_name} successfully resized.")


def _grown_extents(call: _Call, volume: LogicalVolume) -> int:
    group = volume.group
    if "size" in call.options:
        sign, size = parse_size("--size", call.options["size"])
        extents = -(-size // group.extent_size)
        if size % group.extent_size:
            call.say(
                f"Rounding size to boundary between physical extents: {spell_size(extents * group.extent_size)}."
            )
    else:
        sign, extents, base = parse_extents("--extents", call.options["extents"])
        whole = {"FREE": group.free, "VG": group.extents, "PVS": group.extents, "LV": volume.extents}
        if base == "ORIGIN":
            raise LvmError("Please express size as %FREE, %LV, %PVS or %VG.")
        if base:
            extents = whole[base] * extents // 100
    if not extents:
        raise call.wrong(f"--{'size' if 'size' in call.options else 'extents'} may not be zero.")
    return volume.extents + extents if sign else extents


def _lvremove(call: _Call) -> None:
    def remove(name: str) -> None:
        if "/" in name.removeprefix("/dev/"):
            _remove_volume(call, call.lvm.volume(name))
            return
        group = call.lvm.group(name)
        call.each(
            list(group.volumes),
            lambda each: _remove_volume(call, group.volumes[each]) if each in group.volumes else None,
        )

    call.each(call.arguments, remove)


def _remove_volume(call: _Call, volume: LogicalVolume) -> None:
    """Remove a volume after asking, its snapshots first."""
    for each in (volume, *volume.snapshots):
        if each.open_count:
            raise LvmError(f"Logical volume {each.full_name} in use.")
    count = len(volume.snapshots)
    what = "active origin logical volume" if count else "active logical volume"
    extra = f" with {count} snapshots(s)" if count else ""
    if not call.agrees(f"Do you really want to remove {what} {volume.full_name}{extra}?"):
        raise LvmError(f"Logical volume {volume.full_name} not removed.")
    for each in (*volume.snapshots, volume):
        call.lvm.remove_lv(each)
        call.say(f'Logical volume "{each.name}" successfully removed.')


# ---- reports


def _lvs(call: _Call) -> None:
    volumes: list[LogicalVolume] = []

    def find(name: str) -> None:
        if "/" in name.removeprefix("/dev/"):
            volumes.append(call.lvm.volume(name))
        else:
            volumes.extend(call.lvm.group(name).volumes.values())

    columns = column_names("lvs", call.options.get("options"))
    call.each(call.arguments or call.lvm.groups, find)
    _print(call, rows_of_volumes(volumes, columns), columns)


def _vgs(call: _Call) -> None:
    groups: list[VolumeGroup] = []
    columns = column_names("vgs", call.options.get("options"))
    call.each(call.arguments or call.lvm.groups, lambda name: groups.append(call.lvm.group(name)))
    _print(call, [Row(group) for group in sorted(groups, key=lambda group: group.name)], columns)


def _pvs(call: _Call) -> None:
    rows: list[Row] = []

    def find(path: str) -> None:
        if path not in call.lvm.pvs:
            known = path in call.lvm.devices
            raise LvmError(
                f'Failed to find physical volume "{path}".'
                if known
                else f"Cannot use {path}: device not found"
            )
        rows.append(Row(call.lvm.pvs[path].group, pv=call.lvm.pvs[path]))

    columns = column_names("pvs", call.options.get("options"))
    call.each(sorted(call.arguments or call.lvm.pvs), find)
    _print(call, rows, columns)


def _print(call: _Call, rows: list[Row], columns: list[str]) -> None:
    units = call.options.get("units", "r")
    if len(units) != 1 or units not in "hrbskmgtpeHRBSKMGTPE":
        raise call.wrong("Invalid units specification")
    style = Style(
        "noheadings" not in call.options, units, "nosuffix" not in call.options, call.options.get("separator")
    )
    call.stdout.append(render(rows, columns, style))


def _dmsetup(call: _Call) -> None:
    """Of dmsetup, the one part that shows how full a snapshot is: ``dmsetup status [device]``."""
    subcommand, *names = call.arguments
    if subcommand != "status":
        call.stderr.append(f"Unknown command\nxenlab's dmsetup has only 'status', not '{subcommand}'.\n")
        call.status = 1
        return
    status = dmsetup_status(call.lvm.volumes())
    if not names:
        call.stdout.append(status or "No devices found\n")
        return
    lines = [line.partition(": ") for line in status.splitlines()]
    found = [(name, target) for name, _, target in lines if name in names]
    call.stdout += [f"{target}\n" if len(names) == 1 else f"{name}: {target}\n" for name, target in found]
    for name in names:
        if name not in [each for each, _ in found]:
            call.stderr.append("Device does not exist.\nCommand failed.\n")
            call.status = 1


# ---- the table of commands


@dataclass(frozen=True)
class _Option:
    long: str
    short: str = ""
    valued: bool = False


@dataclass(frozen=True)
class Command:
    """A command: what it does, its options, the arguments it must have at least, and how its usage line goes on."""

    do: Callable[[_Call], None]
    options: tuple[_Option, ...] = ()
    least: int = 0
    usage: str = ""


_SURE = (_Option("yes", "y"), _Option("force", "f"))
_SIZE = (_Option("size", "L", True), _Option("extents", "l", True))
_REPORT = (
    _Option("options", "o", True),
    _Option("noheadings"),
    _Option("units", "", True),
    _Option("nosuffix"),
    _Option("separator", "", True),
    _Option("all", "a"),  # there are no hidden volumes here
)

#: The commands by name.
COMMANDS: dict[str, Command] = {
    "pvcreate": Command(_pvcreate, _SURE, 1, "PV ..."),
    "pvremove": Command(_pvremove, _SURE, 1, "PV ..."),
    "vgcreate": Command(_vgcreate, (*_SURE, _Option("physicalextentsize", "s", True)), 2, "VG_new PV ..."),
    "vgextend": Command(_vgextend, _SURE, 2, "VG PV ..."),
    "vgremove": Command(_vgremove, _SURE, 1, "VG|Tag|Select ..."),
    "lvcreate": Command(
        _lvcreate,
        (
            *_SURE,
            *_SIZE,
            _Option("name", "n", True),
            _Option("snapshot", "s"),
            _Option("chunksize", "c", True),
        ),
        1,
        "-L|--size Size[m|UNIT] VG",
    ),
    "lvextend": Command(_lvextend, (*_SURE, *_SIZE), 1, "-L|--size [+]Size[m|UNIT] LV"),
    "lvremove": Command(_lvremove, _SURE, 1, "VG|LV|Tag|Select ..."),
    "lvs": Command(_lvs, _REPORT),
    "vgs": Command(_vgs, _REPORT),
    "pvs": Command(_pvs, _REPORT),
    "dmsetup": Command(_dmsetup, (), 1, "status [<device>...]"),
}
