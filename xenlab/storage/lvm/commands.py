"""LVM2's command lines over the model: the same options, the same words, the same exit statuses.

``run(lvm, ["lvcreate", "-s", "-L", "1G", "-n", "monday", "vg0/web"])`` does to the model what the command
does to a dom0, and returns what it would have printed. Exit status 0 is success, 3 a command line that makes
no sense, 5 a refusal.

Source: LVM2 2.03.16 as it runs on Debian 12; tools/toollib.c, tools/reporter.c.
"""

from __future__ import annotations

import getopt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xenlab.commands import Completed
from xenlab.storage.lvm.call import NO_MATCH, Call
from xenlab.storage.lvm.manager import Lvm
from xenlab.storage.lvm.names import LvmError
from xenlab.storage.lvm.report import Row, Style, column_names, dmsetup_status, render, rows_of_volumes
from xenlab.storage.lvm.sizes import parse_size
from xenlab.storage.lvm.volume_commands import (
    check_unused,
    lvconvert,
    lvcreate,
    lvextend,
    lvremove,
    remove_volume,
)
from xenlab.storage.lvm.volumes import LogicalVolume, VolumeGroup


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
    >>> print(run(lvm, ["lvs", "--noheadings", "-o", "lv_name,lv_size"]).stdout, end="")
      web  104.00m
    """
    command, *words = argv
    spec = COMMANDS[command]
    call = Call(lvm, command, {}, [], frozenset(), iter(stdin.splitlines()))
    short = "".join(option.short + ":" * option.valued for option in spec.options)
    long = [option.long + "=" * option.valued for option in spec.options]
    try:
        pairs, call.arguments = getopt.gnu_getopt(words, short, long)
    except getopt.GetoptError as error:
        return Completed(tuple(argv), "", _bad_option(command, error), 3)
    names = {f"-{option.short}": option.long for option in spec.options if option.short}
    call.options = {names.get(name, name.removeprefix("--")): value for name, value in pairs}
    call.tags = frozenset(value for name, value in pairs if name == "--addtag")
    if len(call.arguments) < spec.least:
        usage = f"  {command} {spec.usage}\n\n"
        fault = f"  {NO_MATCH.format(command)}\n  Correct command syntax is:\n"
        return Completed(tuple(argv), usage, fault, 3)
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


def _pvcreate(call: Call) -> None:
    def create(path: str) -> None:
        call.lvm.create_pv(path)
        call.say(f'Physical volume "{path}" successfully created.')

    call.each(call.arguments, create)


def _pvremove(call: Call) -> None:
    def remove(path: str) -> None:
        call.lvm.remove_pv(path)
        call.say(f'Labels on physical volume "{path}" successfully wiped.')

    call.each(call.arguments, remove)


def _vgcreate(call: Call) -> None:
    name, *paths = call.arguments
    name = name.removeprefix("/dev/")
    extent_size = parse_size("--physicalextentsize", call.options.get("physicalextentsize", "4M"))[1]
    if not extent_size:
        raise call.wrong("Physical extent size may not be zero")
    call.lvm.check_new_vg(name)
    _ready(call, paths)
    call.lvm.create_vg(name, paths, extent_size).tags = call.tags
    call.say(f'Volume group "{name}" successfully created')


def _vgextend(call: Call) -> None:
    name, *paths = call.arguments
    _ready(call, paths)
    call.lvm.extend_vg(name, paths)
    call.say(f'Volume group "{name}" successfully extended')


def _ready(call: Call, paths: list[str]) -> None:
    """Make physical volumes of the disks that are none yet; all must be there."""
    missing = [f"No device found for {path}." for path in paths if path not in call.lvm.devices]
    if missing:
        several = ["Command requires all devices to be found."] if len(paths) > 1 else []
        raise LvmError("\n".join(missing + several))
    call.lvm.check_groupless(paths)
    for path in paths:
        if path not in call.lvm.pvs:
            call.lvm.create_pv(path)
            call.say(f'Physical volume "{path}" successfully created.')


def _vgremove(call: Call) -> None:
    def remove(name: str) -> None:
        group = call.lvm.group(name)
        if group.volumes:
            what = f'volume group "{name}" containing {len(group.volumes)} logical volumes'
            if not call.agrees(f"Do you really want to remove {what}?"):
                raise LvmError(f'Volume group "{name}" not removed')
        check_unused(group.volumes.values())
        for volume in list(group.volumes.values()):
            if volume.name in group.volumes:  # a snapshot may have gone with its origin
                remove_volume(call, volume)
        call.lvm.remove_vg(name)
        call.say(f'Volume group "{name}" successfully removed')

    call.each(call.arguments, remove)


# ---- reports


def _lvs(call: Call) -> None:
    volumes: list[LogicalVolume] = []

    def find(name: str) -> None:
        if "/" in name.removeprefix("/dev/"):
            volumes.append(call.lvm.volume(name))
        else:
            volumes.extend(call.lvm.group(name).volumes.values())

    columns = column_names("lvs", call.options.get("options"))
    call.each(call.arguments or call.lvm.groups, find)
    _print(call, rows_of_volumes(volumes, columns), columns)


def _vgs(call: Call) -> None:
    groups: list[VolumeGroup] = []
    columns = column_names("vgs", call.options.get("options"))
    call.each(call.arguments or call.lvm.groups, lambda name: groups.append(call.lvm.group(name)))
    _print(call, [Row(group) for group in sorted(groups, key=lambda group: group.name)], columns)


def _pvs(call: Call) -> None:
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


def _print(call: Call, rows: list[Row], columns: list[str]) -> None:
    units = call.options.get("units", "r")
    if len(units) != 1 or units not in "hrbskmgtpeHRBSKMGTPE":
        raise call.wrong("Invalid units specification")
    style = Style(
        "noheadings" not in call.options, units, "nosuffix" not in call.options, call.options.get("separator")
    )
    call.stdout.append(render(rows, columns, style))


def _dmsetup(call: Call) -> None:
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

    do: Callable[[Call], None]
    options: tuple[_Option, ...] = ()
    least: int = 0
    usage: str = ""


_SURE = (_Option("yes", "y"), _Option("force", "f"))
_TAG = _Option("addtag", "", True)
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
    "vgcreate": Command(
        _vgcreate, (*_SURE, _TAG, _Option("physicalextentsize", "s", True)), 2, "VG_new PV ..."
    ),
    "vgextend": Command(_vgextend, _SURE, 2, "VG PV ..."),
    "vgremove": Command(_vgremove, _SURE, 1, "VG|Tag|Select ..."),
    "lvcreate": Command(
        lvcreate,
        (
            *_SURE,
            *_SIZE,
            _TAG,
            _Option("name", "n", True),
            _Option("snapshot", "s"),
            _Option("chunksize", "c", True),
        ),
    ),
    "lvconvert": Command(lvconvert, (_Option("merge"),)),
    "lvextend": Command(lvextend, (*_SURE, *_SIZE)),
    "lvremove": Command(lvremove, _SURE, 1, "VG|LV|Tag|Select ..."),
    "lvs": Command(_lvs, _REPORT),
    "vgs": Command(_vgs, _REPORT),
    "pvs": Command(_pvs, _REPORT),
    "dmsetup": Command(_dmsetup, (), 1, "status [<device>...]"),
}
