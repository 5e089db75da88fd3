"""Process numbers in nested namespaces: one process has one number in each namespace from which it can be seen.

The kernel numbers a process in its own namespace and in every one above, up to the first (pid_namespaces(7)). So the
host sees what a container runs, under other numbers; the container sees nothing of the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from xenlab.commands import XenlabError


@dataclass
class Namespace:
    """One namespace of process numbers, and the one in which it was made."""

    name: str
    parent: Namespace | None = None
    last: int = 0

    def upwards(self) -> Iterator[Namespace]:
        """This namespace, the one above it, and so on."""
        here: Namespace | None = self
        while here is not None:
            yield here
            here = here.parent


@dataclass(frozen=True)
class Process:
    """A process: what it runs, its namespace, and its number in that and in those above, by their names."""

    program: str
    namespace: str
    numbers: dict[str, int]


@dataclass
class Processes:
    """All processes of a machine.

    >>> machine = Processes()
    >>> machine.start("init")
    >>> machine.make_namespace("box")
    >>> machine.start("web", "box")
    >>> machine.number("web", "box"), machine.number("web", "host"), machine.seen_from("box")
    (1, 2, ('web',))
    """

    namespaces: dict[str, Namespace] = field(default_factory=lambda: {"host": Namespace("host")})
    processes: dict[str, Process] = field(default_factory=dict)

    def make_namespace(self, name: str, inside: str = "host") -> None:
        """Make a namespace in another one."""
        self.namespaces[name] = Namespace(name, self._namespace(inside))

    def start(self, program: str, namespace: str = "host") -> None:
        """Start a program; its process gets the next number in its namespace and in all above it."""
        numbers = {}
        for each in self._namespace(namespace).upwards():
            each.last += 1
            numbers[each.name] = each.last
        self.processes[program] = Process(program, namespace, numbers)

    def number(self, program: str, namespace: str) -> int | None:
        """The process's number as seen from a namespace, or None where it cannot be seen."""
        return self.processes[program].numbers.get(self._namespace(namespace).name)

    def seen_from(self, namespace: str) -> tuple[str, ...]:
        """The programs whose processes can be seen from a namespace, in the order of their numbers there."""
        seen = [
            (process.numbers[namespace], name)
            for name, process in self.processes.items()
            if namespace in process.numbers
        ]
        return tuple(name for _, name in sorted(seen))

    def _namespace(self, name: str) -> Namespace:
        if name not in self.namespaces:
            raise XenlabError(f"namespace(={name!r}) must be one of: {', '.join(self.namespaces)}")
        return self.namespaces[name]
