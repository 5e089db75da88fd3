"""xenstore: the small tree of strings, shared by all domains, in which drivers find each other.

A node has a value, children and permissions: an owner, what everyone may do, and exceptions by domain.
Domain 0 may do everything. Three things make it more than a file system:

* a *watch* on a path makes an event at once, and another whenever something at or below the path changes. An
  event says where to look, not what is there;
* a *transaction* sees its own writes; the others see all of them or none. Its commit fails with EAGAIN if a
  node it has read was changed by someone else meanwhile, and the client starts again;
* a guest's relative path means its own home, ``/local/domain/<domid>``.

Sources: docs/misc/xenstore.txt; tools/xenstore/xenstored_core.c, xenstored_transaction.c (conflicts by
generation count), xenstored_watch.c (who is told).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

from xenlab.commands import XenlabError

#: Longest absolute and relative paths, in characters (XENSTORE_ABS_PATH_MAX, XENSTORE_REL_PATH_MAX).
ABS_PATH_MAX, REL_PATH_MAX = 3072, 2048
_VALID = re.compile(r"/|(/[A-Za-z0-9\-_@]+)+")

Result = TypeVar("Result")
#: What a watch calls: the path that changed, and the token given at registration.
OnEvent = Callable[[str, str], None]


class XenstoreError(XenlabError):
    """What xenstored refused; `.error` is the word it answers: ENOENT, EACCES, EINVAL, EEXIST, EAGAIN."""

    def __init__(self, error: str, why: str) -> None:
        self.error = error
        super().__init__(f"{error}: {why}")


@dataclass(frozen=True)
class Permissions:
    """Who may do what: `owner` everything, everyone else `default`, some domains what `others` says of them.

    A right is one letter: ``n`` none, ``r`` read, ``w`` write, ``b`` both.

    >>> permissions = Permissions.parse("n1,r0")
    >>> permissions.allow(1, "w"), permissions.allow(0, "r"), permissions.allow(2, "r")
    (True, True, False)
    """

    owner: int = 0
    default: str = "n"
    others: tuple[tuple[int, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Permissions:
        """Read what `xenstore-ls -p` prints: ``n0,r1`` means owned by 0, nothing for others, read for 1."""
        entries = [(int(word[1:]), word[0]) for word in text.split(",") if re.fullmatch("[nrwb][0-9]+", word)]
        if len(entries) != text.count(",") + 1:
            raise XenstoreError(
                "EINVAL", f"permissions(={text!r}) must be words such as n0,r1: a letter of n r w b, a domid"
            )
        (owner, default), *others = entries
        return cls(owner, default, tuple(others))

    def __str__(self) -> str:
        return ",".join(f"{right}{domid}" for domid, right in [(self.owner, self.default), *self.others])

    def allow(self, domid: int, right: str) -> bool:
        """True if the domain may read (``r``) or write (``w``); domain 0 and the owner always may."""
        if domid in (0, self.owner):
            return True
        return dict(self.others).get(domid, self.default) in (right, "b")


@dataclass(frozen=True)
class Node:
    """A node: its value, permissions, the names of its children as they were made, when it last changed."""

    value: str = ""
    permissions: Permissions = Permissions()
    children: tuple[str, ...] = ()
    generation: int = 0


@dataclass
class _Watch:
    client: Client
    path: str
    prefix: str  # what a relative watch does not want to see in front of its events
    token: str
    on_event: OnEvent


class Xenstore:
    """The daemon: one tree, its watches, and the events not yet delivered.

    >>> store = Xenstore()
    >>> dom0 = store.client(0)
    >>> dom0.write("/local/domain/1/name", "web")
    >>> dom0.watch("/local/domain/1", "mine", lambda path, token: print(token, path))
    >>> store.deliver()                          # the watch fires once by itself
    mine /local/domain/1
    1
    >>> with dom0.transaction() as transaction:
    ...     transaction.write("/local/domain/1/name", "db")
    ...     dom0.read("/local/domain/1/name")    # not yet
    'web'
    >>> store.deliver()
    mine /local/domain/1/name
    1
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {"/": Node()}
        self._generation = 0
        self._watches: list[_Watch] = []
        self._events: deque[tuple[_Watch, str]] = deque()

    def client(self, domid: int) -> Client:
        """Return a connection of a domain."""
        return Client(self, domid)

    def next_generation(self) -> int:
        """Return a number greater than any before: every change of a node takes one."""
        self._generation += 1
        return self._generation

    def fire(self, path: str, before: Node | None, *, exact: bool) -> None:
        """Queue an event for every watch on `path` or above it (`exact`: on just this path).

        A client is told only of what it may read, or might `before`, or whose parent it may read
        (xenstored_watch.c: watch_permitted).
        """
        readable_by = (before, self.nodes.get(path), self.nodes.get(parent_of(path)))
        for watch in self._watches:
            concerned = path == watch.path if exact else is_below(path, watch.path)
            reader = watch.client.domid
            if concerned and any(node and node.permissions.allow(reader, "r") for node in readable_by):
                self._events.append((watch, path))

    def add_watch(self, watch: _Watch) -> None:
        """Register a watch and queue its first event; a second with this path and token is refused."""
        if self._find(watch.client, watch.path, watch.token):
            raise XenstoreError("EEXIST", f"there is a watch on {watch.path} with token {watch.token!r}")
        self._watches.append(watch)
        self._events.append((watch, watch.path))

    def remove_watch(self, client: Client, path: str, token: str) -> None:
        """Forget a watch, and what it has not been told yet."""
        watch = self._find(client, path, token)
        if watch is None:
            raise XenstoreError("ENOENT", f"there is no watch on {path} with token {token!r}")
        self._watches.remove(watch)
        self._events = deque(event for event in self._events if event[0] is not watch)

    def _find(self, client: Client, path: str, token: str) -> _Watch | None:
        for watch in self._watches:
            if (watch.client, watch.path, watch.token) == (client, path, token):
                return watch
        return None

    def deliver(self) -> int:
        """Call the watches that have events, oldest first, until there are none; return their number."""
        delivered = 0
        while self._events:
            watch, path = self._events.popleft()
            delivered += 1
            shown = path if not watch.prefix else path.removeprefix(watch.prefix).removeprefix("/")
            watch.on_event(shown, watch.token)
        return delivered


class _Operations:
    """What a client can do, in a transaction or outside: the two differ in where nodes come from."""

    def __init__(self, store: Xenstore, domid: int) -> None:
        self.store = store
        self.domid = domid

    def _load(self, path: str) -> Node | None:
        raise NotImplementedError

    def _save(self, path: str, node: Node | None) -> None:
        raise NotImplementedError

    def _changed(self, path: str, before: Node | None, *, exact: bool = False) -> None:
        raise NotImplementedError

    def absolute(self, path: str) -> str:
        """Return the path from the root, a relative one from the domain's home; raise EINVAL if malformed."""
        full = path if path.startswith("/") else f"/local/domain/{self.domid}/{path}"
        longest = ABS_PATH_MAX if full is path else REL_PATH_MAX
        if len(path) > longest or not _VALID.fullmatch(full):
            raise XenstoreError(
                "EINVAL",
                f"path(={path!r}) must be names of letters, digits and -_@, separated by single slashes",
            )
        return full

    def _get(self, path: str, right: str) -> Node:
        """Return the node at `path` if this domain has `right` on it."""
        node = self._load(path)
        if node is not None and node.permissions.allow(self.domid, right):
            return node
        # Who may not read the parent is not told whether the node exists (errno_from_parents).
        above = path
        while node is None and above != "/":
            above = parent_of(above)
            node = self._load(above)
            if node is not None and node.permissions.allow(self.domid, right):
                raise XenstoreError("ENOENT", f"there is no {path}")
        raise XenstoreError("EACCES", f"d{self.domid} must not {'read' if right == 'r' else 'write'} {path}")

    def read(self, path: str) -> str:
        """Return a node's value; raise ENOENT or EACCES."""
        return self._get(self.absolute(path), "r").value

    def directory(self, path: str) -> tuple[str, ...]:
        """Return the names of a node's children, oldest first; raise ENOENT or EACCES."""
        return self._get(self.absolute(path), "r").children

    def exists(self, path: str) -> bool:
        """True if there is a node here that this domain may read."""
        node = self._load(self.absolute(path))
        return node is not None and node.permissions.allow(self.domid, "r")

    def walk(self, path: str) -> Iterator[tuple[str, Node]]:
        """Yield a node and all below it that this domain may read, parents first (`xenstore-ls -f`)."""
        path = self.absolute(path)
        node = self._get(path, "r")
        yield path, node
        for name in node.children:
            child = join(path, name)
            if self.exists(child):
                yield from self.walk(child)

    def write(self, path: str, value: object) -> None:
        """Set a node's value, making it and its missing parents first."""
        path = self.absolute(path)
        node = self._get(path, "w") if self._load(path) else self._make(path)
        self._save(path, replace(node, value=str(value), generation=self.store.next_generation()))
        self._changed(path, node)

    def mkdir(self, path: str) -> None:
        """Make a node with an empty value unless there is one."""
        path = self.absolute(path)
        if self._load(path) is None:
            self._changed(path, self._make(path))

    def _make(self, path: str) -> Node:
        """Make a node below an existing one; it inherits permissions, but a guest owns what it makes."""
        above = parent_of(path)
        parent = self._get(above, "w") if self._load(above) else self._make(above)
        name = path.rpartition("/")[2]
        self._save(
            above, replace(parent, children=(*parent.children, name), generation=self.store.next_generation())
        )
        permissions = replace(parent.permissions, owner=self.domid) if self.domid else parent.permissions
        node = Node("", permissions, (), self.store.next_generation())
        self._save(path, node)
        return node

    def rm(self, path: str) -> None:
        """Remove a node and all below it. If it is missing nothing happens; if its parent is too, ENOENT."""
        path = self.absolute(path)
        if path == "/":
            raise XenstoreError("EINVAL", "the root must stay")
        above = parent_of(path)
        if self._load(path) is None and self._load(above) is not None:
            return
        node = self._get(path, "w")
        parent = self._load(above)
        assert parent is not None
        children = tuple(name for name in parent.children if join(above, name) != path)
        self._remove_below(path, node)
        self._save(above, replace(parent, children=children, generation=self.store.next_generation()))
        self._save(path, None)
        self._changed(path, node)

    def _remove_below(self, path: str, node: Node) -> None:
        for name in node.children:
            child = join(path, name)
            below = self._load(child)
            assert below is not None
            self._remove_below(child, below)
            self._save(child, None)
            self._changed(child, below, exact=True)

    def permissions(self, path: str) -> Permissions:
        """Return a node's permissions; raise ENOENT or EACCES."""
        return self._get(self.absolute(path), "r").permissions

    def set_permissions(self, path: str, permissions: Permissions | str) -> None:
        """Set a node's permissions; only its owner and domain 0 may."""
        path = self.absolute(path)
        node = self._get(path, "w")
        if self.domid not in (0, node.permissions.owner):
            raise XenstoreError("EACCES", f"d{self.domid} does not own {path}")
        new = Permissions.parse(permissions) if isinstance(permissions, str) else permissions
        self._save(path, replace(node, permissions=new, generation=self.store.next_generation()))
        self._changed(path, node)


class Client(_Operations):
    """A domain's connection: its operations take effect at once."""

    def _load(self, path: str) -> Node | None:
        return self.store.nodes.get(path)

    def _save(self, path: str, node: Node | None) -> None:
        if node is None:
            del self.store.nodes[path]
        else:
            self.store.nodes[path] = node

    def _changed(self, path: str, before: Node | None, *, exact: bool = False) -> None:
        self.store.fire(path, before, exact=exact)

    def watch(self, path: str, token: str, on_event: OnEvent) -> None:
        """Have `on_event(path, token)` called for every change at `path` or below, and once now.

        The path need not exist. A relative watch gets relative paths. Raises EEXIST for a second one of
        that token.
        """
        full = self.absolute(path)
        prefix = "" if path.startswith("/") else f"/local/domain/{self.domid}"
        self.store.add_watch(_Watch(self, full, prefix, token, on_event))

    def unwatch(self, path: str, token: str) -> None:
        """End a watch; raise ENOENT if there is none."""
        self.store.remove_watch(self, self.absolute(path), token)

    def transaction(self) -> Transaction:
        """Start a transaction; as a context manager it commits at the end, or aborts on an exception."""
        return Transaction(self.store, self.domid)

    def atomically(self, work: Callable[[Transaction], Result]) -> Result:
        """Do `work` in a transaction, again until it commits without conflict; return its result."""
        while True:
            transaction = self.transaction()
            result = work(transaction)
            try:
                transaction.commit()
            except XenstoreError as error:
                if error.error != "EAGAIN":
                    raise
            else:
                return result


class Transaction(_Operations):
    """Several changes that become visible all at once, or not at all (`Client.transaction`)."""

    def __init__(self, store: Xenstore, domid: int) -> None:
        super().__init__(store, domid)
        self._read: dict[str, Node | None] = {}  # each node as it was when first looked at
        self._written: dict[str, Node | None] = {}
        self._news: list[tuple[str, Node | None, bool]] = []
        self._open = True

    def _load(self, path: str) -> Node | None:
        if path in self._written:
            return self._written[path]
        return self._read.setdefault(path, self.store.nodes.get(path))

    def _save(self, path: str, node: Node | None) -> None:
        self._written[path] = node

    def _changed(self, path: str, before: Node | None, *, exact: bool = False) -> None:
        self._news.append((path, before, exact))

    def commit(self) -> None:
        """Make all changes visible and fire the watches; raise EAGAIN if a node read here has changed."""
        self._end()
        for path, seen in self._read.items():
            if self.store.nodes.get(path) != seen:
                raise XenstoreError("EAGAIN", f"{path} was changed during the transaction; start again")
        for path, node in self._written.items():
            if node is not None:
                self.store.nodes[path] = replace(node, generation=self.store.next_generation())
            else:
                self.store.nodes.pop(path, None)
        for path, before, exact in self._news:
            self.store.fire(path, before, exact=exact)

    def abort(self) -> None:
        """Forget all changes."""
        self._end()

    def _end(self) -> None:
        if not self._open:
            raise XenstoreError("ENOENT", "the transaction has ended")
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        elif self._open:
            self.abort()


def parent_of(path: str) -> str:
    """Return the path above: ``/a/b`` has ``/a``, ``/a`` has ``/``."""
    return path.rpartition("/")[0] or "/"


def join(path: str, name: str) -> str:
    """Return the path of a child."""
    return f"{path.rstrip('/')}/{name}"


def is_below(path: str, top: str) -> bool:
    """True if `path` is `top` or lies below it (xenstored_watch.c: is_child)."""
    return top in ("/", path) or path.startswith(f"{top}/")
