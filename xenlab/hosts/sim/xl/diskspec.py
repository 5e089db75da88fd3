"""The notation of one disk in a configuration (xl-disk-configuration(5)), and what is said when it is wrong.

The rules and their order are those of libxlu_disk_l.l: at each place the longest match counts, then the
first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from xenlab.hosts.sim.domconfig import Disk
from xenlab.hosts.sim.xlcfg import Report

_FORMATS = ("raw", "qcow", "qcow2", "vhd", "empty", "qed")
_BACKENDS = ("phy", "tap", "qdisk", "standalone")


class BadDiskError(Exception):
    """A disk specification that does not parse; the reasons have been reported."""


def parse_disk(spec: str, source: str, report: Report) -> Disk:
    """Read one disk specification.

    >>> disk = parse_disk("/dev/vg/web,raw,xvda,rw", "web.cfg", print)
    >>> disk.target, disk.vdev, disk.readwrite
    ('/dev/vg/web', 'xvda', True)
    """
    parser = _Parser(spec, source, report)
    parser.run()
    return parser.finish()


@dataclass
class _Parser:
    spec: str
    source: str
    report: Report
    disk: Disk = field(default_factory=lambda: Disk(format=""))
    failed: bool = False
    prefixed: bool = False
    access_set: bool = False

    def run(self) -> None:
        at = 0
        while at < len(self.spec) and at >= 0:
            best: tuple[int, int, _Action] | None = None
            for pattern, action in _RULES:
                match = pattern.match(self.spec, at)
                if match and match.end() > at and (best is None or match.end() > best[0]):
                    best = (match.end(), match.end("text"), action)
            if best is None:
                if at < len(self.spec) - 1:  # flex says nothing of a single bad character at the end
                    self._error(self.spec[at:], "bad disk syntax")
                return
            text = self.spec[at : best[1]]
            at = -1 if best[2](self, text) == "stop" else best[1]

    def finish(self) -> Disk:
        if self.failed:
            raise BadDiskError(self.spec)
        disk = self.disk
        disk = replace(disk, format=disk.format or "raw")
        if disk.cdrom:
            disk = replace(disk, readwrite=False, format=disk.format if disk.target else "empty")
        if disk.vdev is None:
            self._error(None, "no vdev specified")
        elif disk.target is None and not disk.cdrom:
            self._error(None, "no target specified (and device not removable)")
        if self.failed:
            raise BadDiskError(self.spec)
        return disk

    # -- what the rules do

    def skip(self, text: str) -> None:
        pass

    def set_format(self, text: str) -> None:
        self._choose("format", text or "raw", _FORMATS, "format")

    def set_backend(self, text: str) -> None:
        self._choose("backend", text, _BACKENDS, "backendtype")

    def set_access(self, text: str) -> None:
        if text in ("r", "ro"):
            self.disk = replace(self.disk, readwrite=False)
        elif text in ("w", "rw", ""):
            self.disk = replace(self.disk, readwrite=True)
        else:
            self._error(text, "unknown value for access")

    def set_text(self, what: str, text: str) -> None:
        field = {"target": "target", "backend": "backend_domain"}.get(what, what)
        if getattr(self.disk, field):
            self._error(text, f"{what} respecified")
        else:
            self._set(**{field: text})

    def set_specification(self, text: str) -> None:
        if text not in ("xen", "virtio"):
            self._error(text, "unknown value for specification")

    def bad_type(self, text: str) -> None:
        self._error(text, "unknown value for type")

    def unknown(self, text: str) -> None:
        self._error(text, "unknown parameter")

    def prefix(self, text: str) -> None:
        name = text.removesuffix(":")
        self.prefixed = True
        if name in _FORMATS:
            self.set_format(name)
        elif name in ("iscsi", "nbd", "enbd", "drbd"):
            self.set_text("script", f"block-{name}")

    def unknown_prefix(self, text: str) -> str:
        self._error(text, "unknown deprecated disk prefix")
        return "stop"

    def positional(self, text: str) -> str | None:
        text = text.removesuffix(",")
        if self.failed:
            return None
        if self.disk.target is None:
            self.set_text("target", text)
        elif not self.prefixed and not self.disk.format:
            if not self.disk.target and self._vdev_and_type(text):
                self.disk = replace(self.disk, format="empty")
            else:
                self.set_format(text)
        elif self.disk.vdev is None:
            if not self._vdev_and_type(text):
                self.set_text("vdev", text)
        elif not self.access_set:
            self.access_set = True
            self.set_access(text)
        else:
            self._error(text, "too many positional parameters")
            return "stop"
        return None

    def _vdev_and_type(self, text: str) -> bool:
        vdev, colon, kind = text.rpartition(":")
        if not colon:
            return False
        self.set_text("vdev", vdev)
        if kind in ("cdrom", "disk"):
            self.disk = replace(self.disk, cdrom=kind == "cdrom")
        else:
            self._error(kind, "unknown deprecated type")
        return True

    def _choose(self, field: str, text: str, known: tuple[str, ...], what: str) -> None:
        if text not in known:
            self._error(text, f"unknown value for {what}")
        elif getattr(self.disk, field) not in (None, "", text):
            self._error(text, f"{field} respecified")
        else:
            self._set(**{field: text})

    def _set(self, **fields: Any) -> None:
        self.disk = replace(self.disk, **fields)

    def _error(self, near: str | None, message: str) -> None:
        shown = "" if near is None else f": near `{near}'"
        self.report(
            f"{self.source}: config parsing error in disk specification: {message}{shown} in `{self.spec}'"
        )
        self.failed = True


_Action = Callable[[_Parser, str], str | None]


def _value(action: Callable[[_Parser, str], None]) -> _Action:
    return lambda parser, text: action(parser, text.removesuffix(",").partition("=")[2])


def _text(what: str) -> _Action:
    return _value(lambda parser, text: parser.set_text(what, text))


def _flag(**fields: bool) -> _Action:
    return lambda parser, text: parser._set(**fields)


_RULES: list[tuple[re.Pattern[str], _Action]] = [
    (re.compile(rf"(?P<text>{pattern}){trailing}"), action)
    for pattern, trailing, action in (
        (r"[ \t\n]+", r"(?:[^ \t\n].*)?", _Parser.skip),
        ("format=[^,]*,?", "", _value(_Parser.set_format)),
        ("cdrom,?", "", _flag(cdrom=True)),
        ("devtype=cdrom,?", "", _flag(cdrom=True)),
        ("devtype=disk,?", "", _flag(cdrom=False)),
        ("devtype=[^,]*,?", "", _Parser.bad_type),
        ("access=[^,]*,?", "", _value(_Parser.set_access)),
        ("backend=[^,]*,?", "", _text("backend")),
        ("backendtype=[^,]*,?", "", _value(_Parser.set_backend)),
        ("specification=[^,]*,?", "", _value(_Parser.set_specification)),
        ("vdev=[^,]*,?", "", _text("vdev")),
        ("script=[^,]*,?", "", _text("script")),
        ("direct-io-safe,?", "", _flag(direct_io_safe=True)),
        ("discard,?", "", _flag(discard=True)),
        ("no-discard,?", "", _flag(discard=False)),
        ("trusted,?", "", _flag(trusted=True)),
        ("untrusted,?", "", _flag(trusted=False)),
        ("target=.*", "", _text("target")),
        ("[a-z][-a-z0-9]*=[^,],?", "", _Parser.unknown),
        ("(?:raw|qcow2?|vhd|iscsi|e?nbd|drbd|tapdisk|tap2?|aio|ioemu|file|phy):", ".*", _Parser.prefix),
        ("[a-z][a-z0-9]*:", "(?:[^a-z0-9].*)?", _Parser.unknown_prefix),
        ("[^=,]*,|[^=,]+,?", "", _Parser.positional),
    )
]
