"""The newc cpio format, which the Linux kernel unpacks as its first root file system.

An entry is a 110-byte header of hexadecimal fields, the name, and the content, each padded to four bytes
(Linux: Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One file, folder or symbolic link: its path without a leading slash, its mode, its content."""

    path: str
    mode: int
    content: bytes = b""


def folder(path: str) -> Entry:
    """A folder that anyone may enter."""
    return Entry(path, stat.S_IFDIR | 0o755)


def program(path: str, content: bytes) -> Entry:
    """A file that may be executed."""
    return Entry(path, stat.S_IFREG | 0o755, content)


def symlink(path: str, target: str) -> Entry:
    """A symbolic link to `target`."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of these entries, in their order; missing parent folders are added before them.

    >>> archive([program("init", b"#!/bin/sh\\n")])[:6]
    b'070701'
    """
    parts: list[bytes] = []
    seen: set[str] = set()
    for entry in entries:
        for parent in _parents(entry.path):
            if parent not in seen:
                seen.add(parent)
                parts.append(_record(len(parts) + 1, folder(parent)))
        seen.add(entry.path)
        parts.append(_record(len(parts) + 1, entry))
    parts.append(_record(0, Entry("TRAILER!!!", 0)))
    return b"".join(parts)


def _parents(path: str) -> list[str]:
    steps = path.split("/")[:-1]
    return ["/".join(steps[: depth + 1]) for depth in range(len(steps))]


def _record(inode: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _pad(header + name) + _pad(entry.content)


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
