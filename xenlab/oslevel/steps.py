"""How a container is built, step by step, and what the process in it sees after each.

Each step is one thing that the kernel keeps apart: a *namespace*, or for the last step a *control group*. The rules
here are the kernel's, for a process that begins without any right: namespaces(7), user_namespaces(7),
pid_namespaces(7), pivot_root(2), cgroups(7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

HOSTNAME = "container"
#: The share of one processor that the last step leaves to the container.
CPU_SHARE = 0.25
#: What lies in the container's new root.
ROOT = ("bin", "lib", "lib64", "proc", "tmp", "usr")


@dataclass(frozen=True)
class View:
    """What a process sees of its system.

    Attributes:
        uid: Who it is.
        hostname: What the machine is called.
        interfaces: The network interfaces there are.
        pid: Its own number.
        processes: How many processes it sees in /proc.
        files: What lies in the root folder.
        cpu: The share of one processor that it gets when it wants all, 0 to 1.

    """

    uid: int
    hostname: str
    interfaces: tuple[str, ...]
    pid: int
    processes: int
    files: tuple[str, ...]
    cpu: float


@dataclass(frozen=True)
class Step:
    """One step: what is kept apart, what the kernel is asked for, and what that is good for."""

    name: str
    calls: str
    why: str


STEPS = (
    Step("user", "unshare(CLONE_NEWUSER)", "it becomes root, here and nowhere else"),
    Step("uts", "unshare(CLONE_NEWUTS), sethostname", "the machine gets a name of its own"),
    Step("net", "unshare(CLONE_NEWNET)", "a network of its own, with nothing in it yet"),
    Step("pid", "unshare(CLONE_NEWPID), fork", "it counts processes from 1"),
    Step("mount", "unshare(CLONE_NEWNS), mount, pivot_root", "files of its own"),
    Step("cgroup", "write to cpu.max", "it may use a quarter of a processor"),
)


def after(view: View, step: Step) -> View:
    """What the process sees once the kernel has done a step.

    >>> host = View(1000, "laptop", ("lo", "eth0"), 4711, 250, ("bin", "home"), 1.0)
    >>> after(host, STEPS[0]).uid, after(host, STEPS[2]).interfaces
    (0, ('lo',))
    """
    match step.name:
        case "user":
            return replace(view, uid=0)
        case "uts":
            return replace(view, hostname=HOSTNAME)
        case "net":
            return replace(view, interfaces=("lo",))
        case "pid":
            # /proc is still the host's: its own number is new, the others are all there.
            return replace(view, pid=1)
        case "mount":
            # A new /proc shows the namespace that it was mounted in: one process.
            return replace(view, files=ROOT, processes=1 if view.pid == 1 else view.processes)
        case _:
            return replace(view, cpu=CPU_SHARE)


def predict(start: View, steps: Sequence[Step] = STEPS) -> tuple[View, ...]:
    """What the process sees after each of the steps."""
    views = [start]
    for step in steps:
        views.append(after(views[-1], step))
    return tuple(views[1:])
