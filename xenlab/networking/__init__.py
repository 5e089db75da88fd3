"""Networking: how guests are joined to each other and to the world, frame by frame.

A model of links, bridges, hosts and routers on simulated time. What moves in it are real frames, the bytes that a
capture of a real network holds; hosts behave as Linux does. One module, one idea:

* `frames`, `dissect`: frames built and read; pcap files; tcpdump's words; a frame opened layer by layer.
* `link`, `bridge`, `ratelimit`: cables and captures; the learning bridge; netback's limit on a guest.
* `routes`, `neighbour`, `host`: routing tables; ARP and the neighbour table; a machine, or a router.
* `icmp`, `udp`, `tcp`: the protocols inside a host. `conntrack`, `netfilter`: address translation and rules.
* `vifspec`, `hotplug`: the strings of ``vif = [...]``; what vif-bridge, vif-route and vif-nat do with them.
* `network`, `topologies`: hosts and links on one clock; guests bridged, routed, behind NAT; two servers.
* `apps`, `actions`, `scenarios`: programs to run on it; what to do and what there is to see.
* `tables`: what `ip`, `brctl`, `bridge`, `iptables`, `conntrack` and `ping` print about it.
"""
