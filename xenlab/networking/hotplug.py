"""What Xen's scripts do in dom0 when a guest's network interface comes and goes.

When the frontend and backend of a vif have met, libxl runs a script in dom0 with the new interface's name,
and the script joins it to the world. ``vif-bridge`` makes it a port of a bridge: the guest is on the LAN.
``vif-route`` gives it dom0's own address, turns on proxy ARP, and adds a route to the guest: dom0 is its
router. ``vif-nat`` does the same with private addresses that it derives from the domain's id.

>>> nat_addresses(domid=5, devid=0)
NatAddresses(guest='10.0.5.1', prefix='10.0.5.1/16', router='10.0.5.128', hostname='dom5')

No script turns on forwarding (``sysctl net.ipv4.ip_forward=1``) or masquerading: that is the administrator's.
On Debian no script adds iptables rules either.

Sources: tools/hotplug/Linux/{vif-bridge,vif-route,vif-nat,vif-common.sh,xen-network-common.sh}, Xen 4.17.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Interface, IPv4Network

from xenlab.commands import XenlabError
from xenlab.networking.bridge import VIF_MAC
from xenlab.networking.host import Host
from xenlab.networking.link import Interface, Link
from xenlab.networking.network import Network
from xenlab.networking.ratelimit import Credit, Shaper
from xenlab.networking.routes import Route
from xenlab.networking.vifspec import VifSpec


class HotplugError(XenlabError):
    """A vif script failed; the text is what it leaves in the xenstore key ``hotplug-error``."""


@dataclass(frozen=True)
class NatAddresses:
    """What vif-nat derives for a vif: the guest's address (and with its network's length), the router's, a
    host name.
    """

    guest: str
    prefix: str
    router: str
    hostname: str


def nat_addresses(domid: int, devid: int, ip: str = "") -> NatAddresses:
    """The addresses of a vif behind vif-nat: ``10.(domid / 256).(domid % 256).(devid + 1)``, and 127 above
    for dom0.

    `ip` is the address of the guest's configuration, if it gives one.
    """
    prefix = ip or f"10.{domid // 256}.{domid % 256}.{devid + 1}/16"
    first, second, third, fourth = prefix.split(".")[:4]
    last = int((re.match(r"\d*", fourth) or [""])[0] or 0) + 127
    hostname = f"dom{domid}" + (f"-{devid + 1}" if devid else "")
    return NatAddresses(prefix.partition("/")[0], prefix, f"{first}.{second}.{third}.{last}", hostname)


def plug(network: Network, dom0: Host, guest: Host, domid: int, spec: VifSpec) -> Link:
    """Give a guest a network interface: run the script of its vif, and lay the cable to ``eth<devid>``.

    `spec` may be incomplete. A guest that has the interface already (it was moved here) keeps it. Raises
    `HotplugError`, and leaves nothing behind, if the script fails.
    """
    spec = spec.with_defaults(guest.rng)
    vif = add_backend(dom0, domid, spec)
    try:
        online(dom0, vif, spec, domid)
    except HotplugError:
        dom0.remove_interface(vif)
        raise
    return connect_frontend(network, dom0, vif, guest, f"eth{spec.devid or 0}", spec)


def add_backend(dom0: Host, domid: int, spec: VifSpec) -> Interface:
    """The vif's end in dom0, as netback makes it: switched off, without a carrier, not yet joined to anything."""
    vif = dom0.add_interface(f"vif{domid}.{spec.devid or 0}", VIF_MAC, "vif")
    vif.up = False
    return vif


def connect_frontend(
    network: Network, dom0: Host, vif: Interface, guest: Host, card: str, spec: VifSpec
) -> Link:
    """The guest's end meets dom0's: from here on frames pass, no faster than the vif's `rate`."""
    link = network.connect(dom0, vif.name, guest, card, name=vif.name, far_mac=spec.mac)
    if spec.rate is not None:
        link.shaper = Shaper(network.env, Credit(spec.rate.bytes_per_interval, spec.rate.interval_usec))
    link.far.mtu = vif.mtu
    return link


def unplug(network: Network, dom0: Host, name: str) -> None:
    """Take a vif away from dom0, as its script and netback do; the guest's interface loses its cable."""
    vif = dom0.interfaces[name]
    network.disconnect(name)
    dom0.remove_interface(vif)


def online(dom0: Host, vif: Interface, spec: VifSpec, domid: int) -> None:
    """Do what the vif's script does when it is called with ``online``; raise `HotplugError` if it fails."""
    script = spec.script.rpartition("/")[2]
    if spec.vifname:
        _rename(dom0, vif, spec.vifname)
    vif.mtu = spec.mtu
    if script == "vif-bridge":
        _bridge(dom0, vif, spec.bridge)
    elif script == "vif-route":
        _route(dom0, vif, spec)
    elif script == "vif-nat":
        _nat(dom0, vif, nat_addresses(domid, spec.devid or 0, spec.ip))
    else:
        raise HotplugError(
            f"script(={spec.script!r}) must be vif-bridge, vif-route or vif-nat: no other is modelled"
        )


def _rename(dom0: Host, vif: Interface, name: str) -> None:
    if name in dom0.interfaces:
        raise HotplugError(
            f"Cannot rename interface {vif.name}. An interface with name {name} already exists."
        )
    dom0.rename_interface(vif, name)


def _bridge(dom0: Host, vif: Interface, name: str) -> None:
    old_style = name.replace("xenbr", "eth", 1)  # xenbrX once stood for a bridge called ethX
    if name not in dom0.interfaces and name.startswith("xenbr") and old_style in dom0.bridges:
        name = old_style
    if name not in dom0.bridges:
        raise HotplugError(f"Could not find bridge device {name}")
    dom0.set_up(vif, True)
    dom0.bridges[name].add(vif)
    vif.mtu = dom0.interfaces[name].mtu if vif.mtu == 1500 else vif.mtu


def _route(dom0: Host, vif: Interface, spec: VifSpec) -> None:
    uplink = dom0.interfaces.get(spec.gatewaydev or "eth0")
    if uplink is None or not uplink.addresses:
        raise HotplugError("/etc/xen/scripts/vif-route failed; error detected.")  # more is in its log
    main_ip = str(uplink.addresses[0].ip)
    dom0.set_up(vif, True)
    dom0.add_address(vif, main_ip)
    vif.broadcast = str(IPv4Network(f"{main_ip}/{_classful_length(main_ip)}", strict=False).broadcast_address)
    vif.proxy_arp = True
    for address in spec.ip.split():
        dom0.routes.add(Route.to(address, vif.name, source=main_ip, metric=2))


def _classful_length(ip: str) -> int:
    """The length of an address's network as ifconfig assumes it before it is told: class A, B or C."""
    first = int(ip.partition(".")[0])
    return 8 if first < 128 else 16 if first < 192 else 24


def _nat(dom0: Host, vif: Interface, addresses: NatAddresses) -> None:
    try:
        router = IPv4Interface(addresses.router)
    except AddressValueError:
        raise HotplugError(f"ip addr add {addresses.router} dev {vif.name} failed") from None
    dom0.set_up(vif, True)
    dom0.add_address(vif, str(router))
    dom0.routes.add(Route.to(addresses.guest, vif.name, source=addresses.router))
    vif.proxy_arp = True
