"""The strings of ``disk = [ ... ]`` in a domain's configuration, read as xl reads them.

    [target, [format, [vdev, [access]]]], key=value, flag, ...        for example  /dev/vg0/web,raw,xvda,rw

xl's reader is a lex scanner: at each point the rule that matches the longest text wins, the earlier one on a
tie. The rules are therefore a table here too, and `_scan` is lex's own rule. Some consequences surprise
people: ``phy:`` and ``file:`` are stripped and choose nothing; ``target=`` takes the rest of the string,
commas and all.

The flags ``trusted`` and ``untrusted`` are in Xen 4.17's rules and manual, but not in its program: the scanner
that is generated from the rules was not made anew (4.19's was). So xl 4.17 takes them for positional parameters,
and so does this.

Source: libxlu_disk_l.l, libxlu_disk.c, xl-disk-configuration(5), check-xl-disk-parse.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

from xenlab.storage.blockdev import StorageError

Format = Literal["raw", "qcow", "qcow2", "vhd", "qed", "empty"]
Backend = Literal["phy", "tap", "qdisk", "standalone"]
Specification = Literal["xen", "virtio"]


class DiskSpecError(StorageError):
    """A disk specification that xl refuses; its text is what xl prints, one line a fault."""


@dataclass(frozen=True)
class DiskSpec:
    """One disk of a domain, as xl understood it.

    `target` is the path of the image or device, or what `script` makes of it; None if none was named.
    `backend`, `specification` and `discard` are None where the string leaves them to libxl;
    `colo_restore` is libxl's own, False in what it keeps of a disk that it has made.
    `deprecated` lists the outdated forms used, and what to write instead (xl reads them silently).
    """

    backend_domain: str | None = None
    target: str | None = None
    vdev: str = ""
    backend: Backend | None = None
    format: Format = "raw"
    script: str | None = None
    removable: bool = False
    readwrite: bool = True
    is_cdrom: bool = False
    direct_io_safe: bool = False
    discard: bool | None = None
    specification: Specification | None = None
    colo: bool | None = None
    colo_restore: bool | None = None
    colo_host: str | None = None
    colo_port: int = 0
    colo_export: str | None = None
    active_disk: str | None = None
    hidden_disk: str | None = None
    deprecated: tuple[str, ...] = field(default=(), compare=False)

    def to_json(self) -> dict[str, object]:
        """Return the disk as ``xl -N block-attach`` and ``xl list -l`` show it: libxl's names, defaults left out.

        >>> parse_disk("/dev/vg0/web,,xvda").to_json()
        {'pdev_path': '/dev/vg0/web', 'vdev': 'xvda', 'format': 'raw', 'readwrite': 1}
        """
        shown: dict[str, object] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in _TRISTATE and value is not None:
                value = str(value)
            if (value or value == "") and item.name != "deprecated":
                number = value is True and item.name != "direct_io_safe"
                shown[_LIBXL_NAMES.get(item.name, item.name)] = int(value) if number else value
        return shown


_TRISTATE = ("discard", "colo", "colo_restore")
_LIBXL_NAMES = {
    "target": "pdev_path",
    "backend_domain": "backend_domname",
    "discard": "discard_enable",
    "colo": "colo_enable",
    "colo_restore": "colo_restore_enable",
}


def parse_disk(*specs: str, source: str = "command line") -> DiskSpec:
    """Read one disk from its specification; several strings are read on as one, as ``xl block-attach`` does.

    Arguments: `specs`, the strings; `source`, named in errors as xl names it (a file or ``command line``).
    Raises `DiskSpecError` with xl's own lines.

    >>> parse_disk("/root/debian.iso,,hdc,cdrom").is_cdrom
    True
    >>> parse_disk("file:/srv/web.img,xvda,w").deprecated
    ("'file:' has no effect; leave it out",)
    >>> parse_disk("/dev/vg0/web,raw,xvda,rx")
    Traceback (most recent call last):
    ...
    xenlab.storage.diskspec.DiskSpecError: command line: config parsing error in disk specification: \
unknown value for access: near `rx' in `/dev/vg0/web,raw,xvda,rx'
    """
    reader = _Reader(source)
    for spec in specs:
        reader.read(spec)
    return reader.finish()


class _Stop(Exception):
    pass


class _Reader:
    """What has been understood so far; the methods are the actions of the rules."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._spec = ""
        self._faults: list[str] = []
        self._values: dict[str, object] = {}
        self._deprecated: list[str] = []
        self._had_prefix = self._had_access = False

    def read(self, spec: str) -> None:
        """Scan one string; raise `DiskSpecError` at its end if it has faults."""
        self._spec = spec
        at = 0
        try:
            while at < len(spec):
                action, token = _scan(spec, at)
                at += len(token)
                action(self, token)
        except _Stop:
            pass
        self._raise_faults()

    def finish(self) -> DiskSpec:
        """Fill in what follows from the rest, and check that the disk is complete."""
        values = self._values
        values.setdefault("format", "raw")
        if values.get("is_cdrom"):
            values |= {"removable": True, "readwrite": False}
            if not values.get("target"):
                values["format"] = "empty"
        if "vdev" not in values:
            self._fault("no vdev specified")
        elif "target" not in values and not values.get("removable"):
            self._fault("no target specified (and device not removable)")
        self._raise_faults()
        return DiskSpec(deprecated=tuple(self._deprecated), **values)  # type: ignore[arg-type]

    # ---- actions

    def skip(self, token: str) -> None:
        """Whitespace before a parameter."""

    def keyed(self, token: str) -> None:
        """``key=value``."""
        key, _, value = token.removesuffix(",").partition("=")
        if key == "access":
            self._set_access(value)
        elif key == "colo-port":
            digits = re.match(r"\s*[-+]?\d+", value)
            self._values["colo_port"] = int(digits[0]) if digits else 0
            if not self._values["colo_port"]:
                self._fault("unknown value for colo_port", value)
        elif key in _CHOICES:
            self._set_choice(key, value)
        else:
            self._set_text(key, value)

    def flag(self, token: str) -> None:
        """A bare word."""
        name, value = _FLAGS[token.removesuffix(",")]
        self._values[name] = value

    def target(self, token: str) -> None:
        """``target=`` and the rest of the string."""
        self._set_text("target", token.removesuffix(",").partition("=")[2])

    def unknown_devtype(self, token: str) -> None:
        """``devtype=`` something else."""
        self._fault("unknown value for type", token)

    def unknown_key(self, token: str) -> None:
        """``key=`` and one character: that is all of it that xl quotes."""
        self._fault("unknown parameter", token)

    def format_prefix(self, token: str) -> None:
        """``qcow2:`` and the like."""
        self._prefix(token, f"use format={token[:-1]}")
        self._set_choice("format", token[:-1])

    def script_prefix(self, token: str) -> None:
        """``iscsi:`` and the like."""
        self._prefix(token, f"use script=block-{token[:-1]}")
        self._set_text("script", f"block-{token[:-1]}")

    def empty_prefix(self, token: str) -> None:
        """``phy:``, ``file:`` and others that once meant something."""
        self._prefix(token, "has no effect; leave it out")

    def unknown_prefix(self, token: str) -> None:
        """Any other word before a colon."""
        self._fault("unknown deprecated disk prefix", token)
        raise _Stop

    def positional(self, token: str) -> None:
        """The next of target, format, vdev and access that is not known yet."""
        word = token.removesuffix(",")
        if self._faults:
            return  # earlier faults may be the cause
        if "target" not in self._values:
            self._set_text("target", word)
        elif not self._had_prefix and "format" not in self._values:
            if not self._values["target"] and self._vdev_and_type(word):
                self._values["format"] = "empty"
            else:
                self._set_choice("format", word)
        elif "vdev" not in self._values:
            if not self._vdev_and_type(word):
                self._set_text("vdev", word)
        elif not self._had_access:
            self._had_access = True
            self._set_access(word)
        else:
            self._fault("too many positional parameters", word)
            raise _Stop

    def bad(self, token: str) -> None:
        """No rule fits. A single character at the very end goes unnoticed in xl."""
        if len(token) > 1:
            self._fault("bad disk syntax", token)
        raise _Stop

    # ---- values

    def _set_text(self, key: str, value: str) -> None:
        name = _TEXTS[key]
        if self._values.get(name):
            self._fault(f"{key} respecified", value)
        else:  # an empty string may be replaced
            self._values[name] = value

    def _set_choice(self, key: str, value: str) -> None:
        name, choices = _CHOICES[key]
        if value not in choices:
            self._fault(f"unknown value for {key}", value)
        elif self._values.get(name, choices[value]) != choices[value]:
            self._fault(f"{name} respecified", value)
        else:
            self._values[name] = choices[value]

    def _set_access(self, value: str) -> None:
        if value in ("r", "ro", "w", "rw", ""):
            self._values["readwrite"] = value not in ("r", "ro")
        else:
            self._fault("unknown value for access", value)

    def _vdev_and_type(self, word: str) -> bool:
        """Take ``hdc:cdrom``; return False if the word has no colon."""
        vdev, colon, kind = word.rpartition(":")
        if not colon:
            return False
        self._deprecated.append(f"'{word}': use devtype={kind}")
        self._set_text("vdev", vdev)
        if kind in ("cdrom", "disk"):
            self._values["is_cdrom"] = kind == "cdrom"
        else:
            self._fault("unknown deprecated type", kind)
        return True

    def _prefix(self, token: str, advice: str) -> None:
        self._had_prefix = True
        self._deprecated.append(f"'{token}' {advice}")

    def _fault(self, what: str, near: str | None = None) -> None:
        where = "" if near is None else f": near `{near}'"
        self._faults.append(
            f"{self._source}: config parsing error in disk specification: {what}{where} in `{self._spec}'"
        )

    def _raise_faults(self) -> None:
        if self._faults:
            raise DiskSpecError("\n".join(self._faults))


_FLAGS: dict[str, tuple[str, bool]] = {
    "cdrom": ("is_cdrom", True),
    "devtype=cdrom": ("is_cdrom", True),
    "devtype=disk": ("is_cdrom", False),
    "direct-io-safe": ("direct_io_safe", True),
    "discard": ("discard", True),
    "no-discard": ("discard", False),
    "colo": ("colo", True),
    "no-colo": ("colo", False),
}
_TEXTS = {
    "target": "target",
    "vdev": "vdev",
    "script": "script",
    "backend": "backend_domain",
    "colo-host": "colo_host",
    "colo-export": "colo_export",
    "active-disk": "active_disk",
    "hidden-disk": "hidden_disk",
}
_CHOICES: dict[str, tuple[str, dict[str, str]]] = {
    "format": (
        "format",
        {"": "raw"} | {name: name for name in ("raw", "qcow", "qcow2", "vhd", "empty", "qed")},
    ),
    "backendtype": ("backend", {name: name for name in ("phy", "tap", "qdisk", "standalone")}),
    "specification": ("specification", {name: name for name in ("xen", "virtio")}),
}

_Action = Callable[[_Reader, str], None]
_KEYS = "|".join([*_CHOICES, "access", "colo-port", *(key for key in _TEXTS if key != "target")])

#: The rules in xl's order. The whole pattern competes for the longest match, but only its first group is
#: consumed: a prefix competes as if it were the whole string, and so it wins over a positional parameter.
_RULES: list[tuple[re.Pattern[str], _Action]] = [
    (re.compile(pattern), action)
    for pattern, action in (
        (r"([ \t\n]+)(?:[^ \t\n].*)?", _Reader.skip),
        (rf"((?:{_KEYS})=[^,]*,?)", _Reader.keyed),
        (rf"((?:{'|'.join(_FLAGS)}),?)", _Reader.flag),
        (r"(devtype=[^,]*,?)", _Reader.unknown_devtype),
        (r"(target=.*)", _Reader.target),
        (r"([a-z][-a-z0-9]*=[^,],?)", _Reader.unknown_key),
        (r"((?:raw|qcow2?|vhd):).*", _Reader.format_prefix),
        (r"((?:iscsi|e?nbd|drbd):).*", _Reader.script_prefix),
        (r"((?:tapdisk|tap2?|aio|ioemu|file|phy):).*", _Reader.empty_prefix),
        (r"([a-z][a-z0-9]*:)(?:[^a-z0-9].*)?", _Reader.unknown_prefix),
        (r"([^=,]*,|[^=,]+,?)", _Reader.positional),
    )
]


def _scan(text: str, at: int) -> tuple[_Action, str]:
    """Return the rule for the text from `at` and what it consumes: the longest match, or the earlier rule."""
    best: tuple[int, _Action, str] = (0, _Reader.bad, text[at:].split("\n")[0])
    for pattern, action in _RULES:
        match = pattern.match(text, at)
        if match and len(match[0]) > best[0]:
            best = (len(match[0]), action, match[1])
    return best[1], best[2]
