"""Names that LVM2 allows, and the error it gives for others."""

from __future__ import annotations

import re

from xenlab.storage.blockdev import StorageError

_RESERVED_PREFIXES = ("pvmove", "snapshot")
_RESERVED_PARTS = tuple(
    "_cdata _cmeta _corig _cpool _cvol _wcorig _mimage _mlog _rimage _rmeta _tdata _tmeta _vdata _imeta _iorig "
    "_pmspare _vorigin".split()
)


class LvmError(StorageError):
    """What LVM2 prints when it refuses; one line a message. `status` is the command's exit status."""

    def __init__(self, message: str, status: int = 5) -> None:
        super().__init__(message)
        self.status = status


SEE_HELP = "Run `{} --help' for more information."


def dm_name(group: str, volume: str) -> str:
    """Return a volume's device-mapper name: hyphens are doubled, so that the one between the two can be told.

    >>> dm_name("vg0", "web-data")
    'vg0-web--data'
    """
    return "-".join(name.replace("-", "--") for name in (group, volume))


def check_vg_name(name: str) -> None:
    """Raise `LvmError` for a name that LVM2 does not allow for a new volume group."""
    if not _is_valid(name):
        if not re.fullmatch(r"[a-zA-Z0-9+_.-]*", name):
            hint = "Name contains invalid character, valid set includes: [a-zA-Z0-9.-_+]."
        elif name.startswith("-"):
            hint = "Name cannot start with hyphen."
        else:
            hint = "Name starts with . or .. and has no following character(s)."
        raise LvmError(
            f'{hint}\nNew volume group name "{name}" is invalid.\n{SEE_HELP.format("vgcreate")}', status=3
        )


def check_lv_name(name: str, command: str) -> None:
    """Raise `LvmError` for a name that LVM2 does not allow for a volume."""
    fault = None
    reserved = next((part for part in _RESERVED_PARTS if part in name), None)
    prefix = next((part for part in _RESERVED_PREFIXES if name.startswith(part)), None)
    if not _is_valid(name):
        fault = f'Logical volume name "{name}" is invalid.'
    elif prefix:
        fault = f'Names starting "{prefix}" are reserved. Please choose a different LV name.'
    elif reserved:
        fault = f'Names including "{reserved}" are reserved. Please choose a different LV name.'
    if fault:
        raise LvmError(f"{fault}\n{SEE_HELP.format(command)}", status=3)


def _is_valid(name: str) -> bool:
    return re.fullmatch(r"[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]*", name) is not None and name not in (".", "..")
