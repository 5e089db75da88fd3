"""A LAN beside dom0, made by commands: a machine at the end of a cable, and guests joined to it in one of three ways.

The machine is called *client*. It is a network namespace of dom0's kernel: interfaces, addresses, routes and neighbours
of its own, and nothing else. Its cable is a pair of virtual cards, and dom0's end of it is called ``lan0``. The guests
are real guests, joined by Xen's own scripts. So all that is seen on the cable, on a vif or in a table is what Linux
does.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from xenlab.commands import Commands, XenlabError
from xenlab.networking.dissect import as_table
from xenlab.networking.frames import read_pcap

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["bridge", "route", "nat"]
KINDS: tuple[Kind, ...] = ("bridge", "route", "nat")
CLIENT, DOM0, CABLE = "192.168.1.50", "192.168.1.10", "lan0"
CABLE_MAC, CLIENT_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
#: On this TCP port the shipped guest's workload `ping` sends back what it gets.
PORT = 7777
_MASQUERADE = ("POSTROUTING", "-s", "10.0.0.0/16", "-o", CABLE, "-j", "MASQUERADE")


@dataclass(frozen=True)
class Reached:
    """What came of an attempt to reach somebody: did it work, and the words of the program that tried."""

    ok: bool
    words: str

    def __bool__(self) -> bool:
        return self.ok


class Lan:
    """The LAN 192.168.1.0/24 with the client (192.168.1.50) and dom0 (192.168.1.10) on it.

    As a context manager it takes all away again that it has made.

    Args:
        host: The Xen host.
        kind: How guests shall be joined. ``"bridge"``: they are machines on the LAN (vif-bridge). ``"route"``: dom0 is
            their router, and speaks for them on the LAN (vif-route). ``"nat"``: they have private addresses, and dom0
            lends them its own (vif-nat).

    Raises:
        XenlabError: There is no such kind, or the host has such a LAN already.

    >>> from xenlab.hosts.host import Host
    >>> from xenlab.hosts.sim import SimDom0
    >>> with Host(SimDom0()) as host, Lan(host, "bridge") as lan:
    ...     lan.ping("client", DOM0).ok
    True
    """

    def __init__(self, host: Commands, kind: Kind) -> None:
        if kind not in KINDS:
            raise XenlabError(f"kind(={kind!r}) must be one of: {', '.join(KINDS)}")
        self._host, self.kind = host, kind
        self._captures = 0
        self._undo: list[Sequence[str]] = []
        try:
            self._lay()
        except BaseException:
            self.close()
            raise

    def _lay(self) -> None:
        self._do("ip netns add client", undo="ip netns del client")  # the cable goes with its end
        for command in (
            f"ip link add {CABLE} address {CABLE_MAC} type veth peer name eth0 address {CLIENT_MAC} netns client",
            f"ip netns exec client ip address add {CLIENT}/24 dev eth0",
            "ip netns exec client ip link set eth0 up",
            "ip netns exec client ip link set lo up",
            f"ip link set {CABLE} up",
        ):
            self._do(command)
        if self.kind == "bridge":
            self._do(f"ip link set {CABLE} master xenbr0")
            self._do(f"ip address add {DOM0}/24 dev xenbr0", undo=f"ip address del {DOM0}/24 dev xenbr0")
            return
        self._do(f"ip address add {DOM0}/24 dev {CABLE}")
        self._do("sysctl -w net.ipv4.ip_forward=1", undo="sysctl -w net.ipv4.ip_forward=0")
        if self.kind == "route":
            self._do(f"sysctl -w net.ipv4.conf.{CABLE}.proxy_arp=1")
        else:
            rule = " ".join(_MASQUERADE)
            self._do(f"iptables -t nat -A {rule}", undo=f"iptables -t nat -D {rule}")

    def _do(self, command: str, undo: str = "") -> None:
        self._host.run(command.split())
        if undo:
            self._undo.append(undo.split())

    # -- guests

    def address(self, number: int) -> str:
        """The address of guest `number`, 1 to 99."""
        return f"10.0.{number}.1" if self.kind == "nat" else f"192.168.1.{100 + number}"

    def guest(self, number: int, options: str = "") -> dict[str, Any]:
        """What `host.create` must be told so that a guest is joined to this LAN: its vif, and its kernel's arguments.

        Args:
            number: Which guest; a part of its addresses.
            options: More for the vif's string, as ``"rate=1Mb/s"``.

        Raises:
            XenlabError: The number is not 1 to 99.

        """
        if not 1 <= number <= 99:
            raise XenlabError(f"number(={number}) must be 1 to 99: it is a part of the guest's address")
        address = self.address(number)
        mac = ",".join(filter(None, (f"mac=00:16:3e:00:00:{number:02x}", options)))
        if self.kind == "bridge":
            return {"vifs": [f"{mac},bridge=xenbr0"], "extra": f"xenlab.ip={address}/24"}
        if self.kind == "route":
            vif = f"{mac},script=vif-route,ip={address},gatewaydev={CABLE}"
            return {"vifs": [vif], "extra": f"xenlab.ip={address}/24 xenlab.gateway={DOM0}"}
        vif = f"{mac},script=vif-nat,ip={address}/16"
        return {"vifs": [vif], "extra": f"xenlab.ip={address}/16 xenlab.gateway=10.0.{number}.128"}

    # -- who reaches whom

    def ping(self, where: str, target: str, count: int = 1, patience: int = 2) -> Reached:
        """Ping `target` from ``"client"`` or ``"dom0"``; `patience` is in seconds."""
        argv = [*_inside(where), "ping", "-c", str(count), "-W", str(patience), target]
        done = self._host.run(argv, check=False)
        return Reached(done.ok, done.stdout + done.stderr)

    def connect(self, where: str, target: str, port: int = PORT, patience: int = 2) -> Reached:
        """Connect to a TCP port from ``"client"`` or ``"dom0"``, send a word, and see whether it comes back."""
        argv = [*_inside(where), "busybox", "nc", "-w", str(patience), target, str(port)]
        done = self._host.run(argv, stdin="hello\n", check=False)
        return Reached(done.stdout == "hello\n", done.stdout + done.stderr)

    def rate(self, target: str, size: int = 400_000, patience: int = 30) -> float:
        """Measure how fast a guest sends, in bytes a second: `size` bytes go there from the client, and come back.

        Only the way back is limited by a vif's ``rate=``, and the two overlap.

        Raises:
            XenlabError: Not all came back within `patience` seconds.

        """
        argv = [*_inside("client"), "busybox", "nc", "-w", str(patience), target, str(PORT)]
        start = self._host.now()
        done = self._host.run(argv, stdin="x" * size, check=False)
        took = self._host.now() - start
        if len(done.stdout) != size:
            raise XenlabError(
                f"size(={size}) must come back within {patience} s, and {len(done.stdout)} bytes did"
            )
        return size / took

    # -- what there is to see

    def neighbours(self, where: str = "dom0") -> pd.DataFrame:
        """The ARP table: the IP address, the interface, the MAC address ("" if nobody answered), the state."""
        rows = []
        for line in self._lines(where, "ip -4 neigh"):
            words = line.split()
            rows.append((words[0], _after(words, "dev"), _after(words, "lladdr"), words[-1]))
        return _frame(rows, ["ip", "device", "mac", "state"])

    def routes(self, where: str = "dom0") -> pd.DataFrame:
        """The routing table: where to, by which router ("" if directly), by which interface, with which address."""
        rows = []
        for line in self._lines(where, "ip -4 route"):
            words = line.split()
            rows.append((words[0], _after(words, "via"), _after(words, "dev"), _after(words, "src")))
        return _frame(rows, ["to", "via", "device", "source"])

    def forwarding_table(self, bridge: str = "xenbr0") -> pd.DataFrame:
        """What the bridge has learnt: a MAC address, the port behind which it is, whether it is the port's own."""
        rows = []
        for line in self._lines("dom0", f"bridge fdb show br {bridge}"):
            words = line.split()
            if "master" in words and "vlan" not in words:
                rows.append((words[0], _after(words, "dev"), "permanent" in words))
        return _frame(rows, ["mac", "port", "own"])

    def conversations(self) -> pd.DataFrame:
        """What the connection tracking of dom0 knows: the protocol, and both directions, each from and to."""
        rows = []
        try:
            table = self._host.get("/proc/net/nf_conntrack").decode()
        except FileNotFoundError:  # nothing is tracked until a rule needs it
            table = ""
        for line in table.splitlines():
            ends = re.findall(r"\b(?:src|dst)=(\S+)", line)
            rows.append((line.split()[2], *ends[:4], "[UNREPLIED]" not in line))
        return _frame(rows, ["protocol", "source", "target", "answer from", "answer to", "answered"])

    def nat_rules(self) -> str:
        """What ``iptables -t nat -L POSTROUTING -n -v`` prints: the rules, and how many packets met each."""
        return self._host.run("iptables -t nat -L POSTROUTING -n -v".split()).stdout

    def _lines(self, where: str, command: str) -> list[str]:
        return self._host.run([*_inside(where), *command.split()]).stdout.splitlines()

    @contextlib.contextmanager
    def capture(self, interface: str, where: str = "dom0") -> Iterator[Capture]:
        """Capture what passes an interface, ARP and IPv4, while the block lasts; tcpdump does it."""
        self._captures += 1
        file = f"/tmp/capture-{self._captures}.pcap"
        daemon = [
            *_inside(where),
            "busybox",
            "start-stop-daemon",
            "-p",
            f"{file}.pid",
            "-x",
            "/usr/bin/tcpdump",
        ]
        told = ["-Z", "root", "--immediate-mode", "-i", interface, "-U", "-w", file, "arp or ip"]
        self._host.run([*daemon, "-S", "-b", "-m", "--", *told])
        while not self._host.run(["test", "-s", file], check=False).ok:
            self._host.wait(0.1)
        capture = Capture(interface)
        try:
            yield capture
        finally:
            self._host.wait(0.3)  # for the last frames to be written
            self._host.run([*daemon, "-K"])
            capture.pcap = self._host.get(file)

    def close(self) -> None:
        """Take away what was made, the last first. Closing twice is allowed."""
        while self._undo:
            self._host.run(self._undo.pop(), check=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class Capture:
    """Frames captured on an interface: as a file that Wireshark opens (`pcap`), and as a table."""

    interface: str
    pcap: bytes = b""

    @property
    def frames(self) -> list[bytes]:
        """The frames, in order."""
        return [frame for _, frame in read_pcap(self.pcap)]

    @property
    def table(self) -> pd.DataFrame:
        """The frames as a table: time (s, from the first), addresses, protocol, tcpdump's words, length."""
        seen = read_pcap(self.pcap)
        start = seen[0][0] if seen else 0.0
        return as_table((time - start, self.interface, frame) for time, frame in seen)


def _inside(where: str) -> list[str]:
    if where not in ("dom0", "client"):
        raise XenlabError(f"where(={where!r}) must be 'dom0' or 'client': guests are asked on their consoles")
    return [] if where == "dom0" else ["ip", "netns", "exec", "client"]


def _after(words: Sequence[str], key: str) -> str:
    return words[words.index(key) + 1] if key in words else ""


def _frame(rows: Sequence[tuple[object, ...]], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))
