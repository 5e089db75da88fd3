"""Sizes as LVM2 reads and prints them.

Source: LVM2, libdm/libdm-string.c: dm_size_to_string; tools/lvmcmdline.c: _size_arg, _get_percent_arg.
"""

from __future__ import annotations

import re

from xenlab.storage.lvm.names import LvmError

#: Bytes of each unit; capitals are powers of 1000 when a report is asked for them.
_FACTORS = {"b": 1, "s": 512} | {letter: 1024**power for power, letter in enumerate("kmgtpe", start=1)}
_SI_FACTORS = {letter.upper(): 1000**power for power, letter in enumerate("kmgtpe", start=1)}
_BAD_ARGUMENT = "Error during parsing of command line."


def parse_size(option: str, text: str, unit: str = "m") -> tuple[str, int]:
    """Read the value of ``--size``: return its sign (``+`` or nothing) and its bytes.

    `option` is named in errors; `unit` counts if the text has none. Raises `LvmError` for what is no size.

    >>> parse_size("--size", "1.5G"), parse_size("--size", "+512")
    (('', 1610612736), ('+', 536870912))
    """
    match = re.fullmatch(r"([+-]?)([0-9]*\.?[0-9]+|[0-9]+\.)(?:([bskmgtpeBSKMGTPE]).*)?", text)
    if not match:
        fault = "Can't parse size argument." if text[:1].isdigit() else "Size requires number argument."
        raise LvmError(f"{fault}\nInvalid argument for {option}: {text}\n{_BAD_ARGUMENT}", 3)
    sign, number, given = match.groups()
    if sign == "-":
        raise LvmError(
            f"Size may not be negative.\nInvalid argument for {option}: {text}\n{_BAD_ARGUMENT}", 3
        )
    return sign, int(float(number) * _FACTORS[(given or unit).lower()])


def parse_extents(option: str, text: str) -> tuple[str, int, str]:
    """Read the value of ``--extents``: return its sign, its number and what it is a percentage of (or nothing).

    >>> parse_extents("--extents", "+100%FREE")
    ('+', 100, 'FREE')
    """
    match = re.fullmatch(r"([+-]?)([0-9]+)(?:%(\w*))?", text)
    if not match:
        raise LvmError(f"Invalid argument for {option}: {text}\n{_BAD_ARGUMENT}", 3)
    sign, number, base = match.groups()
    if sign == "-":
        raise LvmError(
            f"Extents may not be negative.\nInvalid argument for {option}: {text}\n{_BAD_ARGUMENT}", 3
        )
    names = {
        "VG": "VG",
        "V": "VG",
        "FREE": "FREE",
        "F": "FREE",
        "PVS": "PVS",
        "P": "PVS",
        "LV": "LV",
        "L": "LV",
    }
    names |= {"ORIGIN": "ORIGIN", "O": "ORIGIN"}
    if base is not None and base.upper() not in names:
        raise LvmError(
            f"Specified %{base} is unknown.\nInvalid argument for {option}: {text}\n{_BAD_ARGUMENT}", 3
        )
    return sign, int(number), names[base.upper()] if base else ""


def format_size(size: int, units: str = "r", suffix: bool = True) -> str:
    """Return a size as reports print it.

    Arguments: `size` in bytes; `units`, ``h`` for the unit that fits, ``r`` the same with ``<`` before a
    number that was rounded up, or a unit; a capital letter means powers of 1000; `suffix` to print a fixed
    unit's letter.

    >>> [format_size(size << 20) for size in (104, 1452, 2040, 0)]
    ['104.00m', '<1.42g', '1.99g', '0 ']
    >>> format_size(104 << 20, "k"), format_size(104 << 20, "M"), format_size(104 << 20, "s", suffix=False)
    ('106496.00k', '109.05M', '212992')
    """
    human = units in "hrHR"
    if size == 0:
        return "0" + (" " if human and suffix else _letter(units) if suffix else "")
    if not human:
        factor = (_FACTORS | _SI_FACTORS | {"B": 1, "S": 512})[units]
        return f"{size / factor:.{0 if units in 'bBsS' else 2}f}{_letter(units) if suffix else ''}"
    prefix, number, unit = _fit(size, units)
    return f"{prefix}{number}{unit}"


def spell_size(size: int) -> str:
    """Return a size as messages print it.

    >>> spell_size(104 << 20), spell_size(1452 << 20), spell_size(512)
    ('104.00 MiB', '<1.42 GiB', '512 B')
    """
    prefix, number, unit = _fit(size, "r")
    return f"{prefix}{number} {unit.upper() + 'iB' if unit != 'b' else 'B'}"


def _letter(units: str) -> str:
    """Bytes and sectors are marked with capitals."""
    return units.upper() if units in "bs" else units


def _fit(size: int, units: str) -> tuple[str, str, str]:
    """Choose the largest unit of which there is one: return a mark for rounding up, the number and the unit."""
    factors = _SI_FACTORS if units in "HR" else {letter: _FACTORS[letter] for letter in "kmgtpe"}
    fitting = [(factor, letter) for letter, factor in factors.items() if size >= factor]
    if not fitting:
        return "", str(size), "B" if units in "HR" else "b"
    factor, letter = max(fitting)
    hundredths = 100 * size / factor
    rounded_up = units in "rR" and round(hundredths) > int(hundredths)
    return "<" if rounded_up else "", f"{size / factor:.2f}", letter
