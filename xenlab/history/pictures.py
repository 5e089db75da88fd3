"""The architecture behind each line of milestones: who stands on whom."""

from __future__ import annotations

from xenlab.history.timeline import Line
from xenlab.ui.stack import Layer, stack

PICTURES = {
    Line.MAINFRAME: stack(
        [
            [Layer("CMS"), Layer("CMS"), Layer("OS/360")],
            [Layer("CP, the control program", True)],
            [Layer("System/360-67")],
        ],
        "Each user's CMS, and whole systems beside it, on the control program CP, on the mainframe",
    ),
    Line.THEORY: stack(
        [
            [Layer("virtual machine"), Layer("virtual machine")],
            [Layer("monitor", True)],
            [Layer("a machine that traps")],
        ],
        "Virtual machines on a monitor, on a machine that traps",
    ),
    Line.FULL: stack(
        [
            [Layer("programs"), Layer("guest OS")],
            [Layer("host OS"), Layer("monitor", True)],
            [Layer("x86 hardware")],
        ],
        "A monitor beside the host's operating system, an unchanged guest system on the monitor",
    ),
    Line.XEN: stack(
        [
            [Layer("dom0: tools, drivers"), Layer("domU"), Layer("domU")],
            [Layer("Xen", True)],
            [Layer("hardware")],
        ],
        "dom0 with tools and drivers, and changed guests beside it, all on Xen, on the hardware",
    ),
    Line.OS_LEVEL: stack(
        [
            [Layer("container"), Layer("container"), Layer("container")],
            [Layer("one kernel", True)],
            [Layer("hardware")],
        ],
        "Containers on one kernel, on the hardware",
    ),
    Line.APPLICATION: stack(
        [
            [Layer("bytecode"), Layer("bytecode")],
            [Layer("virtual machine (a program)", True)],
            [Layer("any OS")],
            [Layer("any hardware")],
        ],
        "Bytecode on a virtual machine that is a program, on any system",
    ),
    Line.CLOUD: stack(
        [
            [Layer("yours"), Layer("a stranger's"), Layer("yours")],
            [Layer("hypervisor", True)],
            [Layer("somebody else's hardware")],
        ],
        "Machines of people who do not know each other, on a hypervisor, on somebody else's hardware",
    ),
}
