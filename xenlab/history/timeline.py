"""Milestones of virtualization from 1962 to today, each with the source that dates it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from xenlab.commands import XenlabError


class Line(StrEnum):
    """A line of ideas that milestones belong to."""

    MAINFRAME = "mainframes"
    THEORY = "theory and hardware"
    FULL = "full virtualization"
    XEN = "paravirtualization and Xen"
    OS_LEVEL = "operating-system level"
    APPLICATION = "languages and applications"
    CLOUD = "clouds"


@dataclass(frozen=True)
class Milestone:
    """Something that happened: when (``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD``), what, why it matters, and who says so."""

    date: str
    line: Line
    title: str
    why: str
    source: str
    link: str

    @property
    def year(self) -> float:
        """The date as a number of years, in the middle of what is known.

        >>> milestone("Popek").year
        1974.5
        """
        numbers = [int(part) for part in self.date.split("-")]
        if len(numbers) == 1:
            return numbers[0] + 0.5
        day = numbers[2] if len(numbers) == 3 else 15
        return round(numbers[0] + (numbers[1] - 1) / 12 + day / 365, 1)

    @property
    def when(self) -> str:
        """The date as one writes it.

        >>> milestone("Popek").when
        'July 1974'
        """
        year, *rest = self.date.split("-")
        return " ".join(
            [*[str(int(day)) for day in rest[1:]], *[_MONTHS[int(month) - 1] for month in rest[:1]], year]
        )


_MONTHS = ("January February March April May June July August September October November December").split()


def select(lines: Collection[Line] = tuple(Line), first: int = 1960, last: int = 2030) -> list[Milestone]:
    """The milestones of these lines from the year `first` to the year `last`, in order.

    Raises `XenlabError` if the years are the wrong way round.

    >>> [found.title for found in select([Line.MAINFRAME], first=1970)]
    ['VM/370: a hypervisor as a product']
    """
    if first > last:
        raise XenlabError(f"first(={first}) must not be later than last(={last})")
    return [each for each in MILESTONES if each.line in lines and first <= int(each.date[:4]) <= last]


def milestone(word: str) -> Milestone:
    """The first milestone that mentions `word`; raises `XenlabError` if none does."""
    for each in MILESTONES:
        if word.lower() in f"{each.title} {each.why} {each.source}".lower():
            return each
    raise XenlabError(f"word(={word!r}) must occur in a milestone; `select()` lists them all")


_GIT = "xen.git"
_GITWEB = "https://xenbits.xen.org/gitweb/?p=xen.git;a=tag;h=refs/tags/RELEASE-{}"
_CREASY = "R. J. Creasy, The origin of the VM/370 time-sharing system, IBM J. Res. Dev. 25(5), 1981"

MILESTONES = (
    Milestone(
        "1962-04",
        Line.THEORY,
        "One-level storage on the Atlas",
        "A program sees one large memory; the machine moves pages between core and drum behind its back. A page table "
        "is still what a virtual machine's memory is made of.",
        "T. Kilburn et al., One-Level Storage System, IRE Trans. Electronic Computers EC-11(2)",
        "https://doi.org/10.1109/TEC.1962.5219356",
    ),
    Milestone(
        "1962-05",
        Line.MAINFRAME,
        "CTSS shares one computer among many people",
        "Time-sharing gives each person the illusion of a computer of their own. The next step is to make the illusion "
        "complete.",
        "F. J. Corbató et al., An experimental time-sharing system, AFIPS SJCC 1962",
        "https://doi.org/10.1145/1460833.1460871",
    ),
    Milestone(
        "1967-01",
        Line.MAINFRAME,
        "CP-40: every user gets a whole System/360",
        "IBM's Cambridge centre splits a modified 360/40 into fourteen virtual machines. Each runs a small system "
        "for one person, CMS.",
        _CREASY,
        "https://doi.org/10.1147/rd.255.0483",
    ),
    Milestone(
        "1967-04",
        Line.MAINFRAME,
        "CP-67 on the System/360-67",
        "The same idea on a machine one could buy, with paging hardware. Customers come to depend on it.",
        _CREASY,
        "https://doi.org/10.1147/rd.255.0483",
    ),
    Milestone(
        "1972-08-02",
        Line.MAINFRAME,
        "VM/370: a hypervisor as a product",
        "Virtual machines become a product that IBM supports. Its descendants still run on mainframes.",
        _CREASY,
        "https://doi.org/10.1147/rd.255.0483",
    ),
    Milestone(
        "1974-06",
        Line.THEORY,
        "A survey of virtual machines",
        "Goldberg sorts what exists, and names the two types of hypervisor that chapter 02 takes up.",
        "R. P. Goldberg, Survey of Virtual Machine Research, IEEE Computer 7(6)",
        "https://doi.org/10.1109/MC.1974.6323581",
    ),
    Milestone(
        "1974-07",
        Line.THEORY,
        "What a machine must be like",
        "Popek and Goldberg prove when a processor can be virtualized by trapping. The x86 of the next 30 years fails "
        "their test.",
        "G. J. Popek and R. P. Goldberg, Formal requirements for virtualizable third generation architectures, "
        "CACM 17(7)",
        "https://doi.org/10.1145/361011.361073",
    ),
    Milestone(
        "1979",
        Line.OS_LEVEL,
        "chroot in Seventh Edition Unix",
        "A process gets another root directory. It is no wall yet, but the first piece of a container.",
        "Seventh Edition Unix, /usr/sys/sys/sys4.c, The Unix Heritage Society",
        "https://www.tuhs.org/cgi-bin/utree.pl?file=V7/usr/sys/sys/sys4.c",
    ),
    Milestone(
        "1996-09",
        Line.APPLICATION,
        "The Java virtual machine is specified",
        "Programs are compiled for a machine that nobody builds. A program, the virtual machine, runs them anywhere.",
        "T. Lindholm and F. Yellin, The Java Virtual Machine Specification, Addison-Wesley",
        "https://docs.oracle.com/javase/specs/",
    ),
    Milestone(
        "1997-10",
        Line.FULL,
        "Disco: virtual machines return",
        "At Stanford a hypervisor lets ordinary systems use a large multiprocessor. Its authors go on to found VMware.",
        "E. Bugnion, S. Devine, M. Rosenblum, Disco: running commodity operating systems on scalable "
        "multiprocessors, SOSP 1997",
        "https://doi.org/10.1145/268998.266672",
    ),
    Milestone(
        "1999-03",
        Line.XEN,
        "XenoServers are proposed",
        "Servers all over the world that run anybody's programs for money. That needs strong walls and honest "
        "accounts: the reason why Xen was built.",
        "D. Reed et al., Xenoservers: Accountable Execution of Untrusted Programs, HotOS-VII, 1999",
        "https://doi.org/10.1109/HOTOS.1999.798390",
    ),
    Milestone(
        "1999-05",
        Line.FULL,
        "VMware Workstation 1.0",
        "The x86 cannot be virtualized by trapping alone, so VMware translates the guest's kernel while it runs.",
        "E. Bugnion et al., Bringing Virtualization to the x86 Architecture with the Original VMware Workstation, "
        "ACM TOCS 30(4), 2012",
        "https://doi.org/10.1145/2382553.2382554",
    ),
    Milestone(
        "2000-03",
        Line.OS_LEVEL,
        "Jails in FreeBSD 4.0",
        "Root in a jail rules the jail only. One kernel, many confined systems.",
        "FreeBSD 4.0 release announcement; P.-H. Kamp and R. Watson, Jails, SANE 2000",
        "https://www.freebsd.org/releases/4.0R/announce/",
    ),
    Milestone(
        "2002-11-20",
        Line.XEN,
        "The first commit to Xen",
        "A hypervisor is begun at the University of Cambridge.",
        f"{_GIT}, its first commit",
        "https://xenbits.xen.org/gitweb/?p=xen.git;a=summary",
    ),
    Milestone(
        "2002-12",
        Line.XEN,
        "Denali coins “paravirtualization”",
        "Change the virtual machine a little, and it becomes simple and fast. The guest's system must be changed, too.",
        "A. Whitaker, M. Shaw, S. D. Gribble, Scale and Performance in the Denali Isolation Kernel, OSDI 2002",
        "https://www.usenix.org/legacy/event/osdi02/tech/whitaker.html",
    ),
    Milestone(
        "2003-10",
        Line.XEN,
        "Xen and the art of virtualization",
        "Linux, changed by fewer than 3,000 lines, runs on Xen almost as fast as on the bare machine.",
        "P. Barham et al., Xen and the Art of Virtualization, SOSP 2003",
        "https://doi.org/10.1145/945445.945462",
    ),
    Milestone(
        "2004-11",
        Line.OS_LEVEL,
        "Zones in Solaris 10",
        "Many confined systems on one kernel, made for putting commercial servers together.",
        "D. Price and A. Tucker, Solaris Zones, LISA 2004",
        "https://www.usenix.org/conference/lisa-04/solaris-zones-operating-system-support-consolidating-commercial-workloads",
    ),
    Milestone(
        "2005-05",
        Line.XEN,
        "Live migration",
        "A running guest moves to another host and is away for as little as 60 ms. Chapter 14 does it again.",
        "C. Clark et al., Live Migration of Virtual Machines, NSDI 2005",
        "https://www.usenix.org/conference/nsdi-05/live-migration-virtual-machines",
    ),
    Milestone(
        "2005-05",
        Line.THEORY,
        "The x86 learns to trap: Intel VT-x",
        "A new processor mode makes every sensitive instruction trap at last. Unchanged guests need no translation.",
        "R. Uhlig et al., Intel Virtualization Technology, IEEE Computer 38(5)",
        "https://doi.org/10.1109/MC.2005.163",
    ),
    Milestone(
        "2005-12",
        Line.XEN,
        "Xen 3.0",
        "Several processors per guest, 64 bits, and the first guests that use VT-x.",
        f"{_GIT}, tag 3.0.0",
        "https://xenbits.xen.org/gitweb/?p=xen.git;a=summary",
    ),
    Milestone(
        "2006-08-25",
        Line.CLOUD,
        "Amazon EC2 opens, on Xen",
        "A computer costs ten cents an hour and is there in minutes. It is a Xen guest.",
        "J. Barr, Amazon EC2 Beta, AWS News Blog",
        "https://aws.amazon.com/blogs/aws/amazon_ec2_beta/",
    ),
    Milestone(
        "2006-10",
        Line.THEORY,
        "Software against hardware",
        "Measured: the first hardware support is often slower than good binary translation.",
        "K. Adams and O. Agesen, A comparison of software and hardware techniques for x86 virtualization, ASPLOS 2006",
        "https://doi.org/10.1145/1168857.1168860",
    ),
    Milestone(
        "2007-02",
        Line.FULL,
        "KVM in Linux 2.6.20",
        "With the processor's help, a kernel module is enough to make Linux a hypervisor.",
        "Linux 2.6.20 release notes; A. Kivity et al., kvm: the Linux Virtual Machine Monitor, OLS 2007",
        "https://kernelnewbies.org/Linux_2_6_20",
    ),
    Milestone(
        "2008-01",
        Line.OS_LEVEL,
        "Control groups in Linux 2.6.24",
        "Processes are put into groups, and the kernel limits what a group may use. Linux containers are made of this.",
        "Linux 2.6.24 release notes",
        "https://kernelnewbies.org/Linux_2_6_24",
    ),
    Milestone(
        "2013-03",
        Line.OS_LEVEL,
        "Docker 0.1.0",
        "An image format and one command make containers something that everybody uses.",
        "Docker's change log, version 0.1.0 (2013-03-23)",
        "https://github.com/moby/moby/blob/v1.13.1/CHANGELOG.md",
    ),
    Milestone(
        "2014-03-10",
        Line.XEN,
        "Xen 4.4, with the first PVH",
        "A guest that knows Xen, in a container that the hardware virtualizes: the best of both.",
        f"{_GIT}, tag RELEASE-4.4.0",
        _GITWEB.format("4.4.0"),
    ),
    Milestone(
        "2017-06",
        Line.APPLICATION,
        "WebAssembly",
        "A small, safe stack machine for the web, and soon outside it. Chapter 08 runs it.",
        "A. Haas et al., Bringing the Web up to Speed with WebAssembly, PLDI 2017",
        "https://doi.org/10.1145/3062341.3062363",
    ),
    Milestone(
        "2019-04-01",
        Line.XEN,
        "Xen 4.12: credit2 is the default scheduler",
        "The scheduler of chapter 16 is replaced as the default by its successor.",
        f"{_GIT}, tag RELEASE-4.12.0; xen/common/sched",
        _GITWEB.format("4.12.0"),
    ),
    Milestone(
        "2020-02",
        Line.CLOUD,
        "Firecracker: a machine for one function call",
        "Virtual machines so small that a cloud starts one for every customer's function.",
        "A. Agache et al., Firecracker: Lightweight Virtualization for Serverless Applications, NSDI 2020",
        "https://www.usenix.org/conference/nsdi20/presentation/agache",
    ),
    Milestone(
        "2022-12-08",
        Line.XEN,
        "Xen 4.17, the Xen of this book",
        "The Xen in the box. Debian 12 brings it.",
        f"{_GIT}, tag RELEASE-4.17.0",
        _GITWEB.format("4.17.0"),
    ),
)
