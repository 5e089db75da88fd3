"""A kernel of a few lines as a guest of a host: built, started, and listened to until it has ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from xenlab.commands import XenlabError
from xenlab.domains.driver import Domain
from xenlab.domains.model import State
from xenlab.paravirt.hypercalls import in_words
from xenlab.paravirt.kernel import Step, build

#: Where in dom0 the kernel is put for `xl create`.
KERNEL = "/var/lib/xenlab/{}.elf"
LAST_WORDS = "that was all\n"


class Host(Protocol):
    """A host on which domains can be created."""

    def put(self, data: bytes, path: str) -> None:
        """Write `data` to the file `path` in dom0."""

    def wait(self, seconds: float) -> None:
        """Let time pass in dom0."""

    def create(self, config: str) -> Domain:
        """Create the domain that this configuration describes, and let it run."""


class Failed(XenlabError):
    """A guest that ended before its last step."""


def run(host: Host, steps: Iterable[Step], name: str = "tiny", mebibytes: int = 16) -> dict[str, str]:
    """Let a guest try these steps on a host; return what came out, by step.

    Numbers come as 16 hexadecimal digits, faults as ``#GP`` and the like, texts as they are.

    Args:
        host: Where. The guest is gone when this returns.
        steps: What it tries.
        name: What it is called.
        mebibytes: Its memory, at least 8.

    Raises:
        XenlabError: A step is not understood.
        Failed: The guest ended too early.
        CommandFailed: `xl create` refused it.

    """
    host.put(build(steps), KERNEL.format(name))
    guest = host.create(
        f'name = "{name}"\ntype = "pv"\nkernel = "{KERNEL.format(name)}"\nmemory = {mebibytes}\nvcpus = 1\n'
    )
    while guest.state is not State.ABSENT:
        host.wait(0.1)
    said = _console(guest)
    if not said.endswith(LAST_WORDS):
        raise Failed(f"the guest {name} must come to its end; it ended after saying {said[-200:]!r}")
    return read(said)


def _console(guest: Domain) -> str:
    try:
        return guest.console()
    except XenlabError:  # there is no log of one that has said nothing
        return ""


def read(said: str) -> dict[str, str]:
    """What a guest printed, by step.

    >>> read("ring 000000000000e033\\nname web\\nhalt #GP\\nthat was all\\n")
    {'ring': '000000000000e033', 'name': 'web', 'halt': '#GP'}
    """
    lines = said.removesuffix(LAST_WORDS).splitlines()
    return dict(line.split(" ", 1) for line in lines if " " in line)


def number(answer: str) -> int:
    """The number that a step has brought; raises `XenlabError` if it has brought something else.

    >>> number("000000000000e033") & 3
    3
    """
    if not re.fullmatch("[0-9a-f]{16}", answer):
        raise XenlabError(f"answer(={answer!r}) must be 16 hexadecimal digits")
    return int(answer, 16)


def words(answers: Mapping[str, str]) -> dict[str, str]:
    """Every answer as one would say it: errors by their names, small numbers without their zeros.

    >>> words({"pause": "ffffffffffffffff", "done": "0000000000000000", "halt": "#GP"})
    {'pause': 'EPERM', 'done': '0', 'halt': '#GP'}
    """
    return {
        name: in_words(int(answer, 16)) if re.fullmatch("[0-9a-f]{16}", answer) else answer
        for name, answer in answers.items()
    }
