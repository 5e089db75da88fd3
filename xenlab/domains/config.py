"""What a new domain shall be, as the configuration file that `xl create` reads (xl.cfg, man page xl.cfg.5)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from xenlab.commands import XenlabError

#: Where dom0 keeps the shipped guest: its kernel, and a first root file system that is also its only one.
KERNEL = "/var/lib/xenlab-guest/vmlinux"
RAMDISK = "/var/lib/xenlab-guest/initrd.gz"
#: earlyprintk and loglevel 6: the kernel's banner is on the console as soon as the guest runs, its chatter is not.
#: nokaslr: a random address protects nobody here, and finding one costs a second under emulation.
ARGUMENTS = "console=hvc0 earlyprintk=xen loglevel=6 nokaslr mitigations=off"
WORKLOADS = ("idle", "burn", "dirty:MiB-per-s", "disk", "counter", "clock", "meminfo", "ping", "ping:ADDRESS")


class BadConfig(XenlabError, ValueError):
    """A domain that cannot be: what was given, the rule, the way out."""


@dataclass(frozen=True)
class DomainConfig:
    """The wish for one domain.

    Args:
        name: Its name, unlike that of any other domain; letters, digits, ``-``, ``_``, ``.`` and ``+``.
        memory: MiB of memory, at least 16. The shipped guest on Debian's stock kernel wants 128.
        vcpus: Virtual CPUs, 1 to 32.
        type: ``"pv"`` (paravirtual) or ``"pvh"`` (hardware-assisted, with no emulated machine).
        cpus: Which physical CPUs it may use, such as ``"0"`` or ``"0-1"``; all unless given.
        disks: Disks, each as xl-disk-configuration(5) has it: ``"phy:/dev/vg/web,raw,xvda,rw"``.
        vifs: Network interfaces, each as xl-network-configuration(5) has it: ``"bridge=xenbr0"``.
        workload: What the shipped guest does: ``idle``, ``burn`` (one busy loop a vCPU), ``dirty:N`` (writes N MiB
            each second), ``disk``, ``counter`` (prints a line a second), ``clock`` (prints the time ten times a
            second), ``meminfo`` (prints what memory Linux has), ``ping`` (answers pings, and sends back what
            comes to its TCP port 7777) or ``ping:ADDRESS`` (pings that once a second and prints the answers).
        extra: More words for the guest's kernel command line, such as ``"xenlab.ip=10.77.0.2/24"``.
        maxmem: MiB that it is built for, so that it can grow to that; as much as `memory` unless given.

    Raises:
        BadConfig: A value breaks one of these rules.

    >>> print(DomainConfig("web", workload="counter").text())
    name = "web"
    type = "pv"
    kernel = "/var/lib/xenlab-guest/vmlinux"
    ramdisk = "/var/lib/xenlab-guest/initrd.gz"
    memory = 128
    vcpus = 1
    extra = "console=hvc0 earlyprintk=xen loglevel=6 nokaslr mitigations=off xenlab.workload=counter"
    <BLANKLINE>

    """

    name: str
    memory: int = 128
    vcpus: int = 1
    type: str = "pv"
    cpus: str | None = None
    disks: Sequence[str] = ()
    vifs: Sequence[str] = ()
    workload: str = "idle"
    extra: str = ""
    maxmem: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.+-]+", self.name):
            raise BadConfig(
                f"name(={self.name!r}) must be letters, digits, '-', '_', '.' or '+', and at least one of them"
            )
        if self.name.isdigit():
            raise BadConfig(f"name(={self.name!r}) must not be a number: xl would take it for a domain id")
        if self.memory < 16:
            raise BadConfig(f"memory(={self.memory}) must be at least 16 MiB")
        if self.maxmem is not None and self.maxmem < self.memory:
            raise BadConfig(f"maxmem(={self.maxmem}) must be at least memory(={self.memory}) MiB")
        if not 1 <= self.vcpus <= 32:
            raise BadConfig(f"vcpus(={self.vcpus}) must be 1 to 32")
        if self.type not in ("pv", "pvh"):
            raise BadConfig(f"type(={self.type!r}) must be 'pv' or 'pvh'")
        if not re.fullmatch(
            r"idle|burn|disk|counter|clock|meminfo|ping|dirty:[1-9]\d*|ping:[\d.]+", self.workload
        ):
            raise BadConfig(f"workload(={self.workload!r}) must be one of {', '.join(WORKLOADS)}")

    def text(self) -> str:
        """The configuration file."""
        arguments = f"{ARGUMENTS} xenlab.workload={self.workload} {self.extra}".strip()
        values: dict[str, object] = {
            "name": self.name,
            "type": self.type,
            "kernel": KERNEL,
            "ramdisk": RAMDISK,
            "memory": self.memory,
            "vcpus": self.vcpus,
            "extra": arguments,
        }
        if self.maxmem is not None:
            values["maxmem"] = self.maxmem
        if self.type == "pvh":
            # Where the clock counter may stop, as in QEMU, Xen traps every reading of it: half of a boot's time.
            values["tsc_mode"] = "native"
        for key, value in (("cpus", self.cpus), ("disk", list(self.disks)), ("vif", list(self.vifs))):
            if value:
                values[key] = value
        # xl.cfg's strings and lists are written as JSON writes them (libxlu_cfg_l.l).
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def name_in(text: str) -> str:
    """The name that a configuration file gives its domain.

    >>> name_in('memory = 64\\nname = "web"')
    'web'
    """
    found = re.search(r"""^\s*name\s*=\s*(["'])(.*?)\1""", text, re.MULTILINE)
    if found is None:
        raise BadConfig('the configuration must name its domain: add a line such as name = "web"')
    return found[2]
