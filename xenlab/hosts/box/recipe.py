"""What goes into the box: packages, kernel modules, the options of Xen and of QEMU's machine.

Everything that shapes the image is in this module or in `files/`; its hash, with the packages' versions, names
the image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources

from xenlab.hosts.box.packages import Package

#: Debian's name first, Ubuntu's second.
DOM0_KERNEL = "linux-image-amd64 | linux-image-generic"
GUEST_KERNEL = "linux-image-cloud-amd64 | linux-image-kvm"
HYPERVISOR = "xen-hypervisor-4.17-amd64"

PACKAGES = (
    HYPERVISOR,
    "xen-utils-4.17",
    "xen-utils-common",
    "busybox-static",  # the initramfs, and all of a guest
    # what the hotplug scripts call
    "bash dash hostname coreutils util-linux mount sed grep gawk findutils procps kmod",
    "iproute2 bridge-utils iptables nftables iputils-ping net-tools tcpdump",  # networking
    "lvm2 dmsetup e2fsprogs qemu-utils",  # storage
    "nfs-kernel-server rpcbind",  # a guest's root over NFS
    "dropbear-bin",  # how the box is reached, and how two boxes reach each other
    "squashfs-tools",  # packs dom0's disk
)

#: What the initramfs must load before dom0's disk can be mounted.
DISK_MODULES = ("virtio_pci", "virtio_blk", "squashfs", "overlay")
#: What dom0 loads when it starts.
DOM0_MODULES = (
    *("xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs", "xen-privcmd", "xen-blkback", "xen-netback"),
    *("virtio_net", "virtio_console", "crc32c_generic", "ext4", "bridge", "loop", "dm-mod", "dm-snapshot"),
    "nfsd",  # loading it takes ten seconds under emulation
)
#: What dom0 can load when a chapter asks for it.
SPARE_MODULES = (
    *(
        "dm-thin-pool",
        "nbd",
        "tun",
        "veth",
        "br_netfilter",
        "ifb",
        "sch_netem",
        "sch_tbf",
        "xt_physdev",
    ),
    *(
        "nf_tables",
        "nft_chain_nat",
        "nft_masq",
        "nft_nat",
        "nft_compat",
        "nf_nat",
        "nf_conntrack",
        "nft_ct",
        "xt_nat",
    ),
    *(
        "ip_tables",
        "iptable_nat",
        "iptable_filter",
        "xt_MASQUERADE",
        "xt_conntrack",
        "xt_tcpudp",
        "nf_conntrack_netlink",
    ),
)
GUEST_MODULES = ("xen-blkfront", "xen-netfront")
#: Only in the initrd of guests whose root comes over NFS: they would cost every other guest 4 MB and a second.
NFS_MODULES = ("nfsv3",)

XEN_COMMAND_LINE = "com1=115200 console=com1 dom0_mem=384M,max:384M sched=credit dom0_max_vcpus=2"
# init_on_free: freed pages are zero, and a snapshot does not store zero pages.
DOM0_COMMAND_LINE = "console=hvc0 quiet init_on_free=1 mitigations=off audit=0"

MACHINE = ("-machine", "pc", "-m", "1024", "-smp", "2", "-nodefaults", "-display", "none", "-no-reboot")
# tb-size: a gigabyte of translated code is QEMU's default; an eighth of it does, and keeps the box small.
TCG = ("-accel", "tcg,thread=multi,tb-size=128", "-cpu", "qemu64,+svm,+npt")
KVM = ("-accel", "kvm", "-cpu", "host")

DATA_DISK_GIB = 4

#: Links that packages make when they are installed (update-alternatives), which unpacking leaves out.
ALTERNATIVES = {
    "usr/bin/awk": "gawk",
    "usr/sbin/iptables": "xtables-nft-multi",
    "usr/sbin/ip6tables": "xtables-nft-multi",
    "usr/sbin/iptables-save": "xtables-nft-multi",
    # dom0 has no system log; what the hotplug scripts say stands in /var/log/xen/xen-hotplug.log too.
    "usr/bin/logger": "true",
}

#: Left out of dom0's disk: nothing here runs.
PRUNED = (
    *(
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
        "usr/share/info",
        "usr/share/perl*",
        "usr/share/perl5",
    ),
    *(
        "usr/lib/python3*",
        "usr/lib/x86_64-linux-gnu/perl*",
        "usr/lib/x86_64-linux-gnu/libperl*",
        "usr/share/python3",
    ),
    *(
        "usr/share/bash-completion",
        "usr/share/zoneinfo",
        "usr/share/lintian",
        "usr/share/bug",
        "usr/share/i18n",
    ),
    *("usr/lib/systemd", "usr/lib/udev", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/debug", "usr/bin/perl*"),
    *(
        "usr/lib/xen-*/boot",
        "usr/include",
        "boot",
        "usr/bin/python3*",
        "usr/share/keyrings",
        "var/cache",
        "usr/bin/qemu-storage*",
    ),
)


def names() -> list[str]:
    """Every package the box is made of, kernels included."""
    return [DOM0_KERNEL, GUEST_KERNEL] + [word for line in PACKAGES for word in line.split()]


def read(name: str) -> bytes:
    """One of the files that the image carries as it is."""
    return resources.files("xenlab.hosts.box").joinpath("files", name).read_bytes()


#: The files whose change makes another image.
SOURCES = (
    *("recipe.py", "tree.py", "cpio.py", "qemu.py", "guestkernel.py"),
    *("files/initramfs-init", "files/dom0-init", "files/guest-init"),
)


def digest(packages: Sequence[Package], guest: str) -> str:
    """The name of the image that this recipe makes from these packages, for the guest kernel "stock" or "small"."""
    sha = hashlib.sha256(guest.encode())
    box = resources.files("xenlab.hosts.box")
    for source in SOURCES:
        sha.update(box.joinpath(source).read_bytes())
    for package in packages:
        sha.update(f"{package.name}={package.version}\n".encode())
    return sha.hexdigest()[:16]
