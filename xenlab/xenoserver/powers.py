"""What dom0 may do, and any other domain may not: each power as a call that a guest's kernel can try.

Root in a guest is not enough to try them: its kernel would ask Xen on its behalf only for what kernels need. So the
book brings a kernel of its own (`xenlab.paravirt.kernel`), which asks Xen for everything. The same things, asked from
dom0, are everyday commands.

Sources, at RELEASE-4.17.7: xen/include/xsm/dummy.h (who may), xen/include/public/domctl.h, sysctl.h, platform.h,
version.h, sched.h, io/xs_wire.h (the calls).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xenlab.commands import Commands
from xenlab.domains.config import DomainConfig
from xenlab.paravirt.driver import Host, run, words
from xenlab.paravirt.hypervisor import DOMCTL_VERSION, PLATFORM_VERSION, SYSCTL_VERSION
from xenlab.paravirt.kernel import Step
from xenlab.paravirt.policy import Right

#: Names of the guest that tries, and of the one that dom0 shows its powers on.
CURIOUS, OTHER = "xenlab-curious", "xenlab-other"
CONFIG = f"/var/lib/xenlab/{OTHER}.cfg"


@dataclass(frozen=True)
class Power:
    """One thing that can be asked of Xen, or of xenstore, which runs in dom0.

    `command` is how dom0 does it, where that can be tried without harm; `right` is the class Xen puts it in, None if
    not Xen decides.
    """

    what: str
    step: Step
    right: Right | None = None
    command: tuple[str, ...] = ()


def _domctl(name: str, number: int) -> Step:
    """A call about domain 0; the domain's number and the rest of the structure are zero."""
    code = f"mov eax, domctl\nlea rdi, [rip + {name}_op]\nsyscall"
    return Step(name, code, f"{name}_op: .long {number}, {DOMCTL_VERSION}\n.space 128")


def _sysctl(name: str, number: int) -> Step:
    code = f"mov eax, sysctl\nlea rdi, [rip + {name}_op]\nsyscall"
    return Step(name, code, f"{name}_op: .long {number}, {SYSCTL_VERSION}\n.space 128")


def _xenstore(name: str, kind: int, payload: str) -> Step:
    """A message: its type, and what follows, in which ``|`` stands for a zero."""
    data = ", ".join(str(0 if letter == "|" else ord(letter)) for letter in payload)
    message = f"{name}_message: .long {kind}, 0, 0, {len(payload)}\n.byte {data}"
    return Step(name, f"lea rdi, [rip + {name}_message]\ncall ask", message, text=True)


#: Powers over the machine and over other domains: dom0's alone. Dom0 does them in this order.
POWERS = (
    Power("create a domain", _domctl("create", 1), Right.CONTROL, ("xl", "create", "-p", CONFIG)),
    Power("see which domains there are", _domctl("list", 5), Right.XENSTORE, ("xl", "list")),
    Power("pause another domain", _domctl("pause", 3), Right.CONTROL, ("xl", "pause", OTHER)),
    Power(
        "ask how much memory another domain has",
        Step(
            "memory",
            "mov eax, memory_op\nmov edi, 3\nlea rsi, [rip + memory_of]\nsyscall",
            "memory_of: .long 0",
        ),
        Right.ITSELF,
        ("xl", "list", OTHER),
    ),
    Power("destroy another domain", _domctl("destroy", 2), Right.CONTROL, ("xl", "destroy", OTHER)),
    Power("ask what the machine is", _sysctl("physinfo", 3), Right.CONTROL, ("xl", "info", "total_memory")),
    Power("read Xen's log", _sysctl("log", 1), Right.CONTROL, ("xl", "dmesg")),
    Power(
        "read Xen's command line",
        Step(
            "commandline",
            "mov eax, xen_version\nmov edi, 9\nlea rsi, [rip + page]\nsyscall\nlea rax, [rip + page]",
            text=True,
        ),
        Right.CONTROL,
        ("xl", "info", "xen_commandline"),
    ),
    Power(
        "set the machine's clock",
        Step(
            "settime",
            "mov eax, platform_op\nlea rdi, [rip + settime_op]\nsyscall",
            f"settime_op: .long 62, {PLATFORM_VERSION:#x}\n.space 128",
        ),
        Right.CONTROL,
    ),
    Power(
        "print on the machine's serial line",
        Step("serial", "mov eax, console_io\nmov edi, 0\nmov esi, 4\nlea rdx, [rip + page]\nsyscall"),
        Right.CONTROL,
    ),
    Power(
        "switch another domain off",
        Step(
            "shutdown",
            "mov eax, sched_op\nmov edi, 4\nlea rsi, [rip + shutdown_op]\nsyscall",
            "shutdown_op: .long 0, 0",
        ),
        Right.DEVICE_MODEL,
    ),
    Power(
        "map another domain's memory",
        Step(
            "map",
            "lea rdi, [rip + page]\nmov esi, 0x1000067\nmov edx, 2\nmov eax, update_va_mapping\nsyscall",
        ),
    ),
    Power(
        "read another domain's name in xenstore",
        _xenstore("name", 2, "/local/domain/0/name|"),
        command=("xenstore-read", "/local/domain/0/name"),
    ),
    Power(
        "list the domains in xenstore",
        _xenstore("domains", 1, "/local/domain|"),
        command=("xenstore-list", "/local/domain"),
    ),
    Power("rename itself in xenstore", _xenstore("rename", 11, "name|king")),
    Power("give itself more memory in xenstore", _xenstore("target", 11, "memory/target|999999")),
)
#: What every domain may: without it a guest could not live.
RIGHTS = (
    Power(
        "learn Xen's version",
        Step("version", "mov eax, xen_version\nmov edi, 0\nmov esi, 0\nsyscall"),
        Right.EVERYBODY,
    ),
    Power(
        "ask how much memory it has itself",
        Step(
            "own",
            "mov eax, memory_op\nmov edi, 3\nlea rsi, [rip + own_op]\nsyscall",
            "own_op: .long 0x7ff0",
        ),
        Right.ITSELF,
    ),
    Power("read its own name in xenstore", _xenstore("myname", 2, "name|")),
    Power("write into its own data in xenstore", _xenstore("data", 11, "data/hello|world")),
)


@dataclass(frozen=True)
class Tried:
    """What came of a power: in a guest of its own, and in dom0 (None where it was not tried there)."""

    power: Power
    guest: str
    dom0: bool | None


class _Dom0(Host, Commands):
    """A host on which commands can be run, too."""


def tried(host: _Dom0, powers: tuple[Power, ...] = POWERS) -> list[Tried]:
    """Try each power from a guest's kernel, and from dom0 on a guest made for that; both are gone afterwards.

    Raises what `xenlab.paravirt.driver.run` raises.
    """
    answers: Mapping[str, str] = words(run(host, [power.step for power in powers], CURIOUS))
    host.put(DomainConfig(OTHER).text().encode(), CONFIG)
    return [
        Tried(
            power,
            answers[power.step.name],
            host.run(power.command, check=False).ok if power.command else None,
        )
        for power in powers
    ]
