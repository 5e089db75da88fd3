"""An NFS server in dom0, and the directory a guest without a disk lives in.

The server is Linux's own: ``rpcbind`` tells on which port a service listens, ``rpc.mountd`` says who may mount
what, the kernel's ``nfsd`` serves the files. The guest is the shipped one; its init mounts ``nfsroot=`` and goes
on with the ``/sbin/init`` it finds there.
"""

from __future__ import annotations

import json
import re

import pandas as pd

from xenlab.commands import Commands
from xenlab.domains.config import ARGUMENTS, KERNEL
from xenlab.storage.blockdev import StorageError
from xenlab.storage.nfsroot import NfsRoot

#: The guest's first files, with the modules that mount a root over NFS.
RAMDISK = "/var/lib/xenlab-guest/initrd-nfs.gz"
#: What runs in the guest once its root is there: it prints the greeting and counts, in a file of its root.
INIT = """#!/bin/busybox sh
export PATH=/bin
read -r greeting </etc/motd
echo "$greeting"
count=0
while :; do
    count=$((count + 1))
    echo $count >/var/count && echo "nfs: wrote $count"
    busybox sleep 1
done
"""
_FOLDERS = ("bin", "sbin", "etc", "var", "proc", "dev", "sys", "tmp")
_MARK = ".xenlab"  # in a directory that was laid out from here
_THREADS = "/proc/fs/nfsd/threads"


class NfsServer:
    """The NFS server of a host's dom0.

    Arguments: `host`, where the commands run.
    """

    def __init__(self, host: Commands) -> None:
        self._host = host
        self._ours = False

    def start(self, threads: int = 2) -> None:
        """Start what is not running: rpcbind, mountd, and so many threads of nfsd. It serves NFS version 3.

        A server that runs already is left as it is.
        """
        if self.running:
            return
        if not self._there(_THREADS):
            self._host.run(["modprobe", "nfsd"])
            self._host.run(["mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd"])
        services = self._host.run(["rpcinfo", "-p"], check=False)
        if not services.ok:
            self._host.run(["rpcbind", "-w"])
        if "mountd" not in services.stdout:
            self._host.run(["rpc.mountd"])
        # Without version 4 there is no grace period in which locks are reclaimed.
        self._host.run(["rpc.nfsd", "--no-nfs-version", "4", str(threads)])
        self._ours = True

    def stop(self) -> None:
        """Stop serving: no thread of nfsd is left, and clients get no answer.

        Raises `StorageError` if somebody else has started the server.
        """
        if not self._ours:
            raise StorageError("nfsd must have been started from here to be stopped: others may depend on it")
        self._host.run(["rpc.nfsd", "0"])

    @property
    def running(self) -> bool:
        """Does nfsd have a thread?"""
        return self._there(_THREADS) and self._host.run(["cat", _THREADS]).stdout.strip() != "0"

    def lay_out(self, path: str, greeting: str) -> None:
        """Make the directory `path` a root for a guest: busybox, an init that counts, and `greeting` in /etc/motd.

        Raises `StorageError` for a directory that is there already, unless it was laid out from here.
        """
        if self._there(path) and not self._there(f"{path}/{_MARK}"):
            raise StorageError(f"path(={path!r}) must not exist yet: nothing is overwritten; choose another")
        self._host.run(["mkdir", "-p", *(f"{path}/{folder}" for folder in _FOLDERS)])
        self._host.run(["cp", "/bin/busybox", f"{path}/bin/busybox"])
        self._host.put(b"", f"{path}/{_MARK}")
        self._host.put(INIT.encode(), f"{path}/sbin/init")
        self._host.run(["chmod", "755", f"{path}/sbin/init"])
        self._host.put(f"{greeting}\n".encode(), f"{path}/etc/motd")

    def remove(self, path: str) -> None:
        """Remove a directory that was laid out from here, and all that its guest wrote; `StorageError` for others."""
        if not self._there(f"{path}/{_MARK}"):
            raise StorageError(f"path(={path!r}) must have been laid out from here to be removed")
        self._host.run(["rm", "-r", path])

    def _there(self, path: str) -> bool:
        return self._host.run(["test", "-e", path], check=False).ok

    def export(self, path: str, clients: str) -> None:
        """Let `clients`, an address or a network, mount the directory `path`, and be root in it."""
        self._host.run(["exportfs", "-o", "rw,sync,no_root_squash,no_subtree_check", f"{clients}:{path}"])

    def unexport(self, path: str, clients: str) -> None:
        """Take an export back."""
        self._host.run(["exportfs", "-u", f"{clients}:{path}"])

    def exports(self) -> pd.DataFrame:
        """What is exported to whom, with which options, as ``exportfs -v`` shows it."""
        found = re.findall(
            r"^(\S+)\s+(\S+?)\((.*)\)$", self._host.run(["exportfs", "-v"]).stdout, re.MULTILINE
        )
        return pd.DataFrame(found, columns=["path", "clients", "options"]).set_index("path")


def diskless(name: str, root: NfsRoot, bridge: str = "xenbr0", memory: int = 128) -> str:
    """Return the configuration file of a guest that has a network interface, and no disk.

    >>> from xenlab.storage.nfsroot import StaticAddress
    >>> own = StaticAddress("10.77.0.2", "255.255.255.0")
    >>> print(diskless("thin", NfsRoot("10.77.0.1", "/srv/thin", ("vers=3", "tcp"), own)))
    name = "thin"
    type = "pv"
    kernel = "/var/lib/xenlab-guest/vmlinux"
    ramdisk = "/var/lib/xenlab-guest/initrd-nfs.gz"
    memory = 128
    vif = ["bridge=xenbr0"]
    root = "/dev/nfs"
    extra = "console=hvc0 earlyprintk=xen loglevel=6 nokaslr mitigations=off \
nfsroot=10.77.0.1:/srv/thin,vers=3,tcp ip=10.77.0.2:10.77.0.1::255.255.255.0:::off rw"
    """
    arguments = root.cmdline().removeprefix("root=/dev/nfs ")
    values = {
        "name": name,
        "type": "pv",
        "kernel": KERNEL,
        "ramdisk": RAMDISK,
        "memory": memory,
        "vif": [f"bridge={bridge}"],
        "root": "/dev/nfs",
        "extra": f"{ARGUMENTS} {arguments}",
    }
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
