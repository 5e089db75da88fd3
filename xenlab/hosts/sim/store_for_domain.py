"""xenstored for a guest: the same tree, but only as much of it as the permissions of its nodes allow.

A guest that may not read a node is told so; whether it exists, only to who may read what is above it. Relative paths
begin in the guest's own home. Source: tools/xenstore/xenstored_core.c and docs/misc/xenstore.txt at RELEASE-4.17.7
(perm_for_conn, errno_from_parents, do_read, do_write, do_directory).
"""

from __future__ import annotations

from collections.abc import Sequence

from xenlab.hosts.sim.xenstore import Xenstore

#: Types of messages (enum xsd_sockmsg_type).
DIRECTORY, READ, WRITE, ERROR = 1, 2, 11, 16
#: Those that only dom0 may send: INTRODUCE, RELEASE, RESUME, SET_TARGET.
PRIVILEGED = (8, 9, 18, 19)


def may(permissions: Sequence[str], domid: int, wish: str) -> bool:
    """Do these permissions let a domain read (``r``) or write (``w``) a node? Its owner, the first, always may.

    >>> may(("n0", "r3"), 3, "r"), may(("n0", "r3"), 3, "w"), may(("n0", "r3"), 4, "r"), may(("n4",), 4, "w")
    (True, False, False, True)
    """
    owner, *others = permissions
    if domid == int(owner[1:]):
        return True
    given = next((each[0] for each in others if int(each[1:]) == domid), owner[0])
    return given in ("b", wish)


def answer(store: Xenstore, domid: int, kind: int, payload: bytes) -> tuple[int, bytes]:
    """Answer a message of a guest's: the reply's type, and what it says.

    >>> store = Xenstore()
    >>> store.make("/local/domain/3", ("n0", "r3"))
    >>> store.write("/local/domain/3/name", "web")
    >>> answer(store, 3, READ, b"name\\0"), answer(store, 4, READ, b"/local/domain/3/name\\0")
    ((2, b'web'), (16, b'EACCES\\x00'))
    """
    if kind in PRIVILEGED:
        return _error("EACCES")
    if kind not in (DIRECTORY, READ, WRITE):
        return _error("ENOSYS")
    name, _, value = payload.partition(b"\0")
    path = name.decode("latin-1")
    path = path if path.startswith("/") else f"/local/domain/{domid}/{path}"
    if kind == WRITE:
        return _write(store, domid, path, value.decode("latin-1"))
    permissions = store.permissions(path)
    if permissions is None:
        return _error("ENOENT" if may(_nearest(store, path), domid, "r") else "EACCES")
    if not may(permissions, domid, "r"):
        return _error("EACCES")
    if kind == READ:
        return READ, (store.read(path) or "").encode("latin-1")
    return DIRECTORY, b"".join(each.encode() + b"\0" for each in store.names(path) or [])


def _write(store: Xenstore, domid: int, path: str, value: str) -> tuple[int, bytes]:
    permissions = store.permissions(path)
    if not may(_nearest(store, path) if permissions is None else permissions, domid, "w"):
        return _error("EACCES")
    store.write(path, value)
    return WRITE, b"OK\0"


def _nearest(store: Xenstore, path: str) -> Sequence[str]:
    """The permissions of the node itself, or of the nearest above it that exists."""
    while (permissions := store.permissions(path)) is None and path:
        path = path.rpartition("/")[0]
    return permissions or ("n0",)


def _error(name: str) -> tuple[int, bytes]:
    return ERROR, name.encode() + b"\0"
