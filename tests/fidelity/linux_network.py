"""Plays a scenario on the real Linux kernel: a network namespace for each host, a veth pair for each link.

Run as ``unshare --user --map-root-user --net --mount --pid --fork --kill-child --mount-proc python
linux_network.py``. It reads a JSON description of a network and of what should happen from standard input,
and writes what was captured and found out to standard output, as JSON. It needs Linux's iproute2 and
iptables, and no module but Python's own. When it ends, however it ends, the PID namespace and with it every
process and network namespace is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection, Pipe
from typing import Any

CLONE_NEWNET = 0x40000000
ETH_P_ALL = socket.htons(0x0003)
IP_RECVERR, MSG_ERRQUEUE = 11, 0x2000
PING_WORDS = {
    (3, 0): "Destination Net Unreachable",
    (3, 1): "Destination Host Unreachable",
    (3, 3): "Destination Port Unreachable",
    (11, 0): "Time to live exceeded",
}


class Machine:
    """One host: runs in its own process and network namespace, and does what it is told over a pipe."""

    def __init__(self) -> None:
        self.captured: dict[str, list[tuple[float, str]]] = {}
        self._listening: list[socket.socket] = []

    def serve_forever(self, pipe: Connection) -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
        pipe.send(os.getpid())
        while True:
            verb, arguments = pipe.recv()
            try:
                pipe.send((True, getattr(self, verb)(*arguments)))
            except Exception as error:
                pipe.send((False, f"{verb}{tuple(arguments)}: {error!r}"))

    def run(self, *argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def batch(self, commands: str) -> None:
        done = subprocess.run(
            ["ip", "-batch", "-"], input=commands, capture_output=True, text=True, timeout=20
        )
        if done.returncode:
            raise RuntimeError(f"{commands}: {done.stderr.strip()}")

    def sysctl(self, name: str, value: int) -> None:
        with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/net/{name}", "w") as file:
            file.write(str(value))

    def wait_for_carriers(self) -> None:
        """Wait until every interface has its carrier and every bridge port forwards: the kernel takes its
        time.
        """
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            links = self.run("ip", "-o", "link", "show", "up").splitlines()
            ports = self.run("bridge", "link").splitlines()
            if all("LOWER_UP" in link and "DOWN" not in link for link in links) and all(
                "state forwarding" in port for port in ports
            ):
                return
            time.sleep(0.1)
        raise TimeoutError(f"no carrier: {links} {ports}")

    def capture(self, interface: str) -> None:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, ETH_P_ALL)
        tap.bind((interface, 0))
        frames = self.captured.setdefault(interface, [])

        def keep() -> None:
            while True:
                with contextlib.suppress(
                    OSError
                ):  # said once, when the interface goes; frames may still wait
                    frame = tap.recv(65535)
                    if frame[12:14] in (b"\x08\x00", b"\x08\x06"):
                        frames.append((time.monotonic(), frame.hex()))

        threading.Thread(target=keep, daemon=True).start()

    def frames(self) -> dict[str, list[tuple[float, str]]]:
        return self.captured

    def serve(self, port: int) -> None:
        listener = socket.create_server(("", port))
        self._listening.append(listener)

        def answer() -> None:
            while True:
                client, _ = listener.accept()
                with client:
                    while data := client.recv(65536):
                        client.sendall(b"reply:" + data)

        threading.Thread(target=answer, daemon=True).start()

    def ping(self, target: str, count: int, timeout: float, ident: int) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            answered: dict[int, str] = {}
            for sequence in range(1, count + 1):
                began = time.monotonic()
                header = struct.pack(">BBHHH", 8, 0, 0, ident, sequence)
                data = bytes(range(56))
                message = header[:2] + struct.pack(">H", checksum(header + data)) + header[4:] + data
                try:
                    raw.sendto(message, (target, 0))
                except OSError as error:
                    return os.strerror(error.errno or 0)
                until = began + (1.0 if sequence < count else timeout)
                self._listen_for_answers(raw, ident, answered, until, wanted=count)
        errors = [text for text in answered.values() if text]
        return errors[-1] if errors else f"{len(answered)} of {count}"

    @staticmethod
    def _listen_for_answers(
        raw: socket.socket, ident: int, answered: dict[int, str], until: float, wanted: int
    ) -> None:
        while (left := until - time.monotonic()) > 0 and len(answered) < wanted:
            readable, _, _ = select.select([raw], [], [], left)
            if not readable:
                continue
            with contextlib.suppress(BlockingIOError):
                quoted, control, _, _ = raw.recvmsg(2048, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)
                _, _, kind, code = struct.unpack_from("=IBBB", control[0][2])
                if quoted[4:6] == ident.to_bytes(2, "big"):
                    answered[int.from_bytes(quoted[6:8], "big")] = PING_WORDS[kind, code]
                continue
            with contextlib.suppress(OSError):  # an error waits in the other queue
                message = raw.recv(2048, socket.MSG_DONTWAIT)[20:]
                if message[0] == 0 and message[4:6] == ident.to_bytes(2, "big"):
                    answered[int.from_bytes(message[6:8], "big")] = ""

    def request(self, target: str, port: int, local_port: int) -> str:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(("", local_port))
            client.settimeout(2.5)
            try:
                client.connect((target, port))
            except TimeoutError:
                return "timed out"
            except OSError as error:
                return os.strerror(error.errno or 0)
            time.sleep(0.1)
            client.sendall(b"hello")
            reply = client.recv(4096)
            time.sleep(0.1)
        time.sleep(0.1)
        return "connected" if reply == b"reply:hello" else f"got {reply!r}"

    def datagram(self, target: str, port: int, local_port: int) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("", local_port))
            try:
                sender.connect((target, port))
                sender.send(b"hello")
            except OSError as error:
                return os.strerror(error.errno or 0)
            time.sleep(0.1)
            error = sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return os.strerror(error) if error else "sent"

    def announce(self, interface: str, mac: str, ip: str) -> None:
        """A gratuitous ARP, as netfront has the kernel send when it is connected again."""
        card, address = bytes.fromhex(mac.replace(":", "")), socket.inet_aton(ip)
        message = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + card + address + bytes(6) + address
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, ETH_P_ALL) as tap:
            tap.bind((interface, 0))
            tap.send(b"\xff" * 6 + card + b"\x08\x06" + message)


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Remote:
    """A `Machine` in its own process, as seen from here. `ip` commands are gathered and run in one go by
    `settle`.
    """

    def __init__(self) -> None:
        self._batch: list[str] = []
        self._pipe, theirs = Pipe()
        if os.fork() == 0:
            self._pipe.close()
            with contextlib.suppress(EOFError, OSError):
                Machine().serve_forever(theirs)
            os._exit(0)
        theirs.close()
        self.pid: int = self._pipe.recv()

    def __call__(self, verb: str, *arguments: Any) -> Any:
        self._pipe.send((verb, arguments))
        ok, value = self._pipe.recv()
        if not ok:
            raise RuntimeError(value)
        return value

    def ip(self, *words: object) -> None:
        self._batch.append(" ".join(map(str, words)))

    def settle(self) -> None:
        batch, self._batch = self._batch, []
        self("batch", "\n".join(batch))


class Network:
    """The described network, made of namespaces."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.machines = {host["name"]: Remote() for host in plan["hosts"]}
        pairs = "\n".join(self._pair(link) for link in plan["links"])
        subprocess.run(["ip", "-batch", "-"], input=pairs, text=True, check=True, timeout=20)
        for host in plan["hosts"]:
            self._configure(self.machines[host["name"]], host)
        for link in plan["links"]:
            self.machines[link["near"][0]]("capture", link["near"][1])

    def _pair(self, link: dict[str, Any]) -> str:
        (near, near_name, near_mac), (far, far_name, far_mac) = link["near"], link["far"]
        near_pid, far_pid = self.machines[near].pid, self.machines[far].pid
        self.machines[near].ip("link", "set", near_name, "address", near_mac)
        self.machines[far].ip("link", "set", far_name, "address", far_mac)
        return f"link add name {near_name} netns {near_pid} type veth peer name {far_name} netns {far_pid}"

    def _configure(self, machine: Remote, host: dict[str, Any]) -> None:
        for family in ("all", "default"):
            machine("sysctl", f"ipv6/conf/{family}/disable_ipv6", 1)
            machine("sysctl", f"ipv4/conf/{family}/rp_filter", 0)
        machine("sysctl", "bridge/bridge-nf-call-iptables", 0)
        machine("sysctl", "ipv4/tcp_syn_linear_timeouts", 0)  # newer kernels only; Debian 12's has none
        machine("sysctl", "ipv4/ip_forward", int(host["forwarding"]))
        machine.ip("link", "set", "lo", "up")
        for bridge in host["bridges"]:
            ageing = int(bridge["ageing_time"] * 100)
            bridging = ["stp_state", 0, "forward_delay", 0, "ageing_time", ageing, "mcast_snooping", 0]
            machine.ip("link", "add", bridge["name"], "type", "bridge", *bridging)
            for port in bridge["ports"]:
                machine.ip("link", "set", port, "master", bridge["name"])
        for interface in host["interfaces"]:
            machine.ip("link", "set", interface["name"], "up")
            for address in interface["addresses"]:
                machine.ip("addr", "add", address, "dev", interface["name"])
        for route in host["routes"]:
            machine.ip("route", "add", *route)
        machine.settle()
        for interface in host["interfaces"]:
            machine("sysctl", f"ipv4/conf/{interface['name']}/proxy_arp", int(interface["proxy_arp"]))
        for command in host["rules"]:
            machine("run", *command)

    def take(self, action: dict[str, Any]) -> str:
        """Take one step of a scenario; return its outcome."""
        verb = action.pop("verb")
        if verb == "Wait":
            time.sleep(action["seconds"])
            return ""
        if verb == "Move":
            self._move(**action)
            return ""
        machine = self.machines[action.pop("host")]
        return str(machine(verb.lower(), *action.values()))

    def _move(
        self, guest: str, source: str, target: str, domid: int, downtime: float, announce: bool
    ) -> None:
        """Carry the dom0 end of a guest's vif from one server to another."""
        link = next(link for link in self.plan["links"] if link["far"][0] == guest)
        old, new = link["near"][1], f"vif{domid}.0"
        self.machines[source].ip("link", "set", old, "netns", self.machines[target].pid, "name", new)
        self.machines[source].settle()
        time.sleep(downtime)
        self.machines[target].ip("link", "set", new, "master", "xenbr0")
        self.machines[target].ip("link", "set", new, "up")
        self.machines[target].settle()
        self.machines[target]("capture", new)
        self.machines[target]("wait_for_carriers")
        self.machines[guest]("wait_for_carriers")
        if announce:
            _, card, mac = link["far"]
            self.machines[guest]("announce", card, mac, link["address"])
        time.sleep(0.1)


def main() -> None:
    plan = json.load(sys.stdin)
    network = Network(plan)
    for server in plan["servers"]:
        network.machines[server]("serve", 7777)
    for machine in network.machines.values():
        machine("wait_for_carriers")
    outcomes = [network.take(action) for action in plan["actions"]]
    time.sleep(0.4)
    frames: dict[str, list[tuple[float, str]]] = {}
    for name, machine in network.machines.items():
        for interface, seen in machine("frames").items():
            frames[plan["link_names"].get(f"{name} {interface}", interface)] = seen
    tables = {
        name: {" ".join(command): network.machines[name]("run", *command) for command in commands}
        for name, commands in plan["tables"].items()
    }
    json.dump({"outcomes": outcomes, "frames": frames, "tables": tables}, sys.stdout)


if __name__ == "__main__":
    main()
