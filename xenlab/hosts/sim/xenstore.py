"""xenstore: the small tree of text values by which dom0 and the guests find each other.

Every node has a value, children in the order in which they were made (as C xenstored lists them), an owner
and permissions. A watch is called for each change at or below its path. Sources: docs/misc/xenstore.txt and
tools/xenstore/xenstored_core.c (a new node takes its parent's permissions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from xenlab.hosts.sim.storelog import TOOL, Connection, StoreLog

Watch = Callable[[str], None]  # takes the path that changed


@dataclass
class Node:
    """One node: value, permissions (``n0``: owner 0 and nobody else; ``r3``: domain 3 reads), children."""

    value: str = ""
    permissions: tuple[str, ...] = ("n0",)
    children: dict[str, Node] = field(default_factory=dict)


class Xenstore:
    """The tree, as dom0 sees it: dom0 may read and write everything.

    `log`, if there is one, is told of every change and who made it: the tools, unless somebody is `speaking`.

    >>> store = Xenstore()
    >>> store.write("/local/domain/1/name", "web")
    >>> store.read("/local/domain/1/name"), store.names("/local/domain")
    ('web', ['1'])
    """

    def __init__(self, log: StoreLog | None = None) -> None:
        self.root = Node()
        self.log = log
        self._client = TOOL
        self._watches: list[tuple[str, Watch]] = []
        self._held: list[str] | None = None  # paths that a transaction has changed so far

    def read(self, path: str) -> str | None:
        """The value of the node `path`; None if there is none."""
        node = self._find(path)
        return None if node is None else node.value

    def names(self, path: str) -> list[str] | None:
        """The names of the node's children; None if there is no such node."""
        node = self._find(path)
        return None if node is None else list(node.children)

    def write(self, path: str, value: str) -> None:
        """Set the value of the node `path`, making it and the nodes above it where needed."""
        self._note("WRITE", path, f" {value}")
        self._make(path).value = value
        self._fire(path)

    def make(self, path: str, permissions: tuple[str, ...] | None = None) -> None:
        """Make the node `path` with an empty value, if it is not there, and give it `permissions`."""
        self._note("MKDIR", path, " ")
        node = self._make(path)
        if permissions is not None:
            self._note("SET_PERMS", path, f" {' '.join(permissions)} ")
            node.permissions = permissions
        self._fire(path)

    def remove(self, path: str) -> bool:
        """Remove the node `path` and all below it. False if its parent does not exist.

        A missing node under an existing parent counts as removed, as for xenstored's XS_RM.
        """
        self._note("RM", path, " ")
        *above, name = _names(path) or [""]
        parent = self._find("/" + "/".join(above))
        if parent is None or not name:
            return False
        if parent.children.pop(name, None) is not None:
            self._fire(path)
        return True

    def permissions(self, path: str) -> tuple[str, ...] | None:
        """The node's permissions, its owner's first; None if there is no such node."""
        node = self._find(path)
        return None if node is None else node.permissions

    def set_permissions(self, path: str, permissions: tuple[str, ...]) -> bool:
        """Replace the node's permissions; False if there is no such node."""
        node = self._find(path)
        if node is None:
            return False
        self._note("SET_PERMS", path, f" {' '.join(permissions)} ")
        node.permissions = permissions
        self._fire(path)
        return True

    def watch(self, path: str, watch: Watch) -> Callable[[], None]:
        """Call `watch` with the path that changed whenever it is `path` or below; returns how to stop."""
        entry = (path.rstrip("/"), watch)
        self._watches.append(entry)
        return lambda: self._watches.remove(entry)

    @contextmanager
    def speaking(self, client: Connection) -> Iterator[None]:
        """Let what is changed within be this client's doing."""
        before, self._client = self._client, client
        if self.log and client.passing:
            self.log.opened(client)
        try:
            yield
        finally:
            if self.log and client.passing:
                self.log.closed(client)
            self._client = before

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let nobody see what is changed within before its end. No time passes within, so it never fails."""
        if self.log:
            self.log.request(self._client, "TRANSACTION_START", " ", "1")
        self._held = []
        yield
        if self.log:
            self.log.request(self._client, "TRANSACTION_END", "T ")
        changed, self._held = self._held, None
        for path in changed:
            self._fire(path)

    def _note(self, kind: str, path: str, rest: str) -> None:
        if self.log:
            self.log.request(self._client, kind, self._client.spelled(path) + rest)

    def _find(self, path: str) -> Node | None:
        node: Node | None = self.root
        for name in _names(path):
            node = node.children.get(name) if node else None
        return node

    def _make(self, path: str) -> Node:
        node = self.root
        for name in _names(path):
            if name not in node.children:
                node.children[name] = Node(permissions=node.permissions)
            node = node.children[name]
        return node

    def _fire(self, path: str) -> None:
        if self._held is not None:
            self._held.append(path)
            return
        for watched, watch in list(self._watches):
            if (
                path == watched
                or path.startswith(watched + "/")
                or watched.startswith(path.rstrip("/") + "/")
            ):
                watch(path)


def _names(path: str) -> list[str]:
    path = path if path.startswith("/") else f"/local/domain/0/{path}"  # relative to dom0's own home
    return [name for name in path.split("/") if name]
