"""The small guest kernel: Linux with only what a Xen guest needs, compiled from the distribution's own source.

Debian's stock kernel serves every guest well; this one is a quarter of its size, boots in a fraction of the time and
leaves room in 64 MiB. It takes about eight minutes of processor time to compile.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from xenlab.commands import CommandFailed, Completed, XenlabError
from xenlab.hosts.box.packages import Apt, Package, unpack

SOURCE = "linux-source-6.1 | linux-source"
TOOLS = {"make": "make", "gcc": "gcc", "flex": "flex", "bison": "bison", "bc": "bc", "xz": "xz-utils"}

#: Added to `make tinyconfig`, which leaves out all that can be left out.
OPTIONS = """
64BIT SMP PRINTK TTY BINFMT_ELF BINFMT_SCRIPT BLK_DEV_INITRD RD_GZIP MULTIUSER FUTEX EPOLL EARLY_PRINTK KALLSYMS
ELF_CORE DEVTMPFS TMPFS SHMEM PROC_FS PROC_SYSCTL SYSFS FILE_LOCKING POSIX_TIMERS HIGH_RES_TIMERS NO_HZ_IDLE SYSVIPC
HYPERVISOR_GUEST PARAVIRT PARAVIRT_CLOCK XEN XEN_PV XEN_PVH XEN_PVHVM XEN_PVHVM_GUEST XEN_SAVE_RESTORE XEN_BALLOON
HVC_XEN HVC_XEN_FRONTEND XENFS XEN_COMPAT_XENFS XEN_SYS_HYPERVISOR XEN_XENBUS_FRONTEND
BLOCK BLK_DEV XEN_BLKDEV_FRONTEND EXT4_FS NET NETDEVICES XEN_NETDEV_FRONTEND INET PACKET UNIX IP_PNP IP_PNP_DHCP
NETWORK_FILESYSTEMS NFS_FS NFS_V3 ROOT_NFS ACPI PCI X86_LOCAL_APIC X86_X2APIC HOTPLUG_CPU PM HIBERNATE_CALLBACKS
CPU_SUP_AMD CPU_SUP_INTEL UNWINDER_GUESS PRINTK_TIME DEVTMPFS_MOUNT HZ_100
""".split()
#: Turned off: all of it costs boot time under emulation, and nothing here needs it.
WITHOUT = """
FTRACE RETPOLINE SPECULATION_MITIGATIONS RANDOMIZE_BASE DEBUG_KERNEL WLAN ETHERNET UNWINDER_ORC USB_SUPPORT
""".split()
#: Where the kernel lies in a guest's memory: the default leaves 14 MiB below it unused.
PHYSICAL_START = "0x200000"


class ToolsMissing(XenlabError):
    """A compiler or one of its helpers is not installed."""


def check_tools() -> None:
    """Raise `ToolsMissing` with the command that installs what is missing."""
    missing = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    if not Path("/usr/include/libelf.h").exists():
        missing.append("libelf-dev")
    if missing:
        raise ToolsMissing(
            f"the small guest kernel needs {', '.join(missing)}: sudo apt-get install {' '.join(missing)}"
        )


def kernel(apt: Apt, kept: Path, work: Path) -> bytes:
    """The kernel's stripped ELF file: the one in the folder `kept`, else compiled in the folder `work` and kept.

    Raises:
        ToolsMissing: A tool is not installed.
        CommandFailed: The compiler failed; the message shows what it printed.

    """
    (package,) = [found for found in apt.resolve([SOURCE]) if found.name.startswith("linux-source-")]
    recipe = repr((package, OPTIONS, WITHOUT, PHYSICAL_START))
    compiled = kept / hashlib.sha256(recipe.encode()).hexdigest()[:16]
    if not compiled.exists():
        (work / "vmlinux").write_bytes(_compile(apt, package, work))
        kept.mkdir(exist_ok=True)
        (work / "vmlinux").rename(compiled)
    return compiled.read_bytes()


def _compile(apt: Apt, package: Package, work: Path) -> bytes:
    check_tools()
    unpack(apt.download([package]), work)
    (archive,) = (work / "usr/src").glob("linux-source-*.tar.*")
    _run(work, "tar", "--extract", "--file", str(archive))
    (source,) = [path for path in work.glob("linux-source-*") if path.is_dir()]
    _run(source, "make", "tinyconfig")
    switches = [word for name in OPTIONS for word in ("--enable", name)] + [
        word for name in WITHOUT for word in ("--disable", name)
    ]
    _run(
        source,
        "scripts/config",
        *switches,
        "--set-val",
        "PHYSICAL_START",
        PHYSICAL_START,
        "--set-str",
        "LOCALVERSION",
        "-xenlab",
    )
    _run(source, "make", "olddefconfig")
    _run(source, "make", f"-j{os.cpu_count()}", "vmlinux")
    _run(source, "strip", "vmlinux", "-o", "vmlinux.stripped")
    return (source / "vmlinux.stripped").read_bytes()


def _run(folder: Path, *argv: str) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(Completed(argv, "", done.stderr[-3000:], done.returncode))
