"""The files of the simulated dom0: a tree in memory, whose special files compute what they hold."""

from __future__ import annotations

from collections.abc import Callable
from posixpath import normpath
from posixpath import split as split_path

Content = bytes | bytearray | Callable[[], bytes]


class Files:
    """A file system in memory.

    Raises the exceptions of Python's own file calls (`FileNotFoundError`, `IsADirectoryError`,
    `NotADirectoryError`), with their ``strerror``.

    >>> files = Files()
    >>> files.make_folder("/root")
    >>> files.write("/root/web.cfg", b"memory = 64")
    >>> files.read("/root/web.cfg"), files.names("/root")
    (b'memory = 64', ['web.cfg'])
    """

    def __init__(self) -> None:
        self._files: dict[str, Content] = {}
        self._folders: set[str] = {"/"}

    def read(self, path: str) -> bytes:
        """The bytes of the file `path`."""
        path = absolute(path)
        if path in self._folders:
            raise IsADirectoryError(21, "Is a directory", path)
        content = self._files.get(path)
        if content is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return content() if callable(content) else bytes(content)

    def write(self, path: str, data: Content) -> None:
        """Replace the file `path` in a folder that exists; `data` may be a function that computes it."""
        path = absolute(path)
        folder = split_path(path)[0]
        if path in self._folders:
            raise IsADirectoryError(21, "Is a directory", path)
        if folder in self._files:
            raise NotADirectoryError(20, "Not a directory", path)
        if folder not in self._folders:
            raise FileNotFoundError(2, "No such file or directory", path)
        self._files[path] = data

    def append(self, path: str, data: bytes) -> None:
        """Add `data` to the end of the file `path`, which may be new."""
        content = self._files.get(absolute(path))
        if not isinstance(content, bytearray):  # a log grows in place
            content = bytearray(self.read(path) if content is not None else b"")
            self.write(path, content)
        content += data

    def make_folder(self, path: str) -> None:
        """Make the folder `path` and those above it."""
        path = absolute(path)
        while path not in self._folders:
            if path in self._files:
                raise NotADirectoryError(20, "Not a directory", path)
            self._folders.add(path)
            path = split_path(path)[0]

    def remove(self, path: str) -> None:
        """Remove the file `path`."""
        path = absolute(path)
        if path in self._folders:
            raise IsADirectoryError(21, "Is a directory", path)
        if self._files.pop(path, None) is None:
            raise FileNotFoundError(2, "No such file or directory", path)

    def remove_tree(self, path: str) -> None:
        """Remove the file or folder `path` and all that is in it."""
        path = absolute(path)
        inside = path.rstrip("/") + "/"
        self._files = {
            at: data for at, data in self._files.items() if at != path and not at.startswith(inside)
        }
        self._folders = {at for at in self._folders if at != path and not at.startswith(inside)} | {"/"}

    def is_file(self, path: str) -> bool:
        """Is there a file at `path`?"""
        return absolute(path) in self._files

    def is_folder(self, path: str) -> bool:
        """Is there a folder at `path`?"""
        return absolute(path) in self._folders

    def names(self, path: str) -> list[str]:
        """The names in the folder `path`, sorted."""
        path = absolute(path)
        if path not in self._folders:
            raise FileNotFoundError(2, "No such file or directory", path)
        entries = (split_path(at) for at in (*self._files, *self._folders) if at != "/")
        return sorted(name for folder, name in entries if folder == path)


def absolute(path: str) -> str:
    """`path` as seen from root's home folder, without ``.``, ``..`` and doubled slashes.

    >>> absolute("web.cfg"), absolute("/etc//xen/../hosts")
    ('/root/web.cfg', '/etc/hosts')
    """
    path = normpath(path if path.startswith("/") else f"/root/{path}")
    return "/" + path.lstrip("/")
