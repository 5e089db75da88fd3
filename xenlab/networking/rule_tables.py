"""A host's rules and conversations as the commands of Debian 12 print them: iptables 1.8.9, nftables 1.0.6, conntrack
1.4.7, and the kernel's own list.

Every function takes a model and returns text, without the last line's end.

>>> from xenlab.networking.topologies import nat
>>> print(iptables_rules(nat().hosts["dom0"].netfilter, "nat").splitlines()[-1])
-A POSTROUTING -s 10.0.0.0/16 -o lan0 -j MASQUERADE
"""

from __future__ import annotations

from collections.abc import Iterable

from xenlab.networking.conntrack import ICMP, TCP, UDP, Conntrack, Tuple
from xenlab.networking.conntrack import Entry as Conversation
from xenlab.networking.netfilter import CHAINS, PROTOCOLS, Counter, Netfilter, Rule


def iptables_list(rules: Netfilter, table: str = "filter") -> str:
    """What ``iptables -t TABLE -L -n -v`` says: rules, and how many packets met them.

    On Debian 12, where iptables is a front end of nftables, the policies of the ``nat`` table do not count.
    """
    blocks = []
    for chain in CHAINS[table]:
        policy = rules.policies[chain] if table == "filter" else "ACCEPT"
        met = rules.policy_counters[chain] if table == "filter" else Counter()
        lines = [
            f"Chain {chain} (policy {policy} {_short(met.packets)} packets, {_short(met.bytes)} bytes)",
            " pkts bytes target     prot opt in     out     source               destination         ",
        ]
        lines += [_rule_line(rule, count) for rule, count in _of_chain(rules, table, chain)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def iptables_rules(rules: Netfilter, table: str = "filter") -> str:
    """What ``iptables -t TABLE -S`` says: the commands that make these rules."""
    lines = [
        f"-P {chain} {rules.policies[chain] if table == 'filter' else 'ACCEPT'}" for chain in CHAINS[table]
    ]
    lines += [
        f"-A {rule.specification}" for chain in CHAINS[table] for rule, _ in _of_chain(rules, table, chain)
    ]
    return "\n".join(lines)


def nft_ruleset(rules: Netfilter) -> str:
    """What ``nft list ruleset`` says of rules that iptables made: the same rules in nftables' own language."""
    tables: list[str] = []
    for table, names in _existing_chains(rules).items():
        chains = []
        for chain in names:
            policy = rules.policies[chain].lower() if table == "filter" else "accept"
            lines = [f"\t\ttype {table} hook {chain.lower()} priority {_PRIORITIES[chain]}; policy {policy};"]
            lines += [f"\t\t{_nft_rule(rule, count)}" for rule, count in _of_chain(rules, table, chain)]
            chains.append("\n".join([f"\tchain {chain} {{", *lines, "\t}"]))
        tables.append(f"table ip {table} {{\n" + "\n\n".join(chains) + "\n}")
    return "\n".join(tables)


def conntrack_list(conntrack: Conntrack, now: float) -> str:
    """What ``conntrack -L`` says: the conversations being tracked; `now` is the network's time."""
    return "\n".join(f"{_conversation(entry, now)} mark=0 use=1" for entry in conntrack.entries())


def nf_conntrack(conntrack: Conntrack, now: float) -> str:
    """What ``/proc/net/nf_conntrack`` holds: the same conversations, in the kernel's own form."""
    return "\n".join(
        f"ipv4     2 {_conversation(entry, now)} mark=0 zone=0 use=2" for entry in conntrack.entries()
    )


def _existing_chains(rules: Netfilter) -> dict[str, list[str]]:
    """The tables and chains that the kernel has, in the order in which they were made."""
    made = [(rule.table, rule.chain) for rule, _ in rules.rules]
    made += [("filter", chain) for chain, policy in rules.policies.items() if policy != "ACCEPT"]
    found: dict[str, list[str]] = {}
    for table, chain in dict.fromkeys(made):
        found.setdefault(table, []).append(chain)
    return found


def _of_chain(rules: Netfilter, table: str, chain: str) -> Iterable[tuple[Rule, Counter]]:
    return ((rule, count) for rule, count in rules.rules if (rule.table, rule.chain) == (table, chain))


def _rule_line(rule: Rule, count: Counter) -> str:
    details = []
    if rule.dport:
        details.append(f"{rule.protocol} dpt:{rule.dport}")
    if rule.states:
        details.append(f"ctstate {','.join(rule.states)}")
    if rule.to:
        details.append(f"to:{rule.to}")
    line = (
        f"{_short(count.packets):>5} {_short(count.bytes):>5} {rule.target:<9}  "
        f"{PROTOCOLS[rule.protocol]:<3}  --  {rule.input or '*':<6} {rule.output or '*':<6}  "
        f"{_network(rule.source):<19}  {_network(rule.destination):<19}"
    )
    return f"{line}  {' '.join(details)}" if details else f"{line} "


_PRIORITIES = {"PREROUTING": "dstnat", "POSTROUTING": "srcnat", "FORWARD": "filter"}


def _nft_rule(rule: Rule, count: Counter) -> str:
    words = []
    for key, value in (("iifname", rule.input), ("oifname", rule.output)):
        words += [f'{key} "{value}"'] if value else []
    for key, value in (("saddr", rule.source), ("daddr", rule.destination)):
        words += [f"ip {key} {_network(value)}"] if value != "0.0.0.0/0" else []
    if rule.dport:
        words.append(f"{rule.protocol} dport {rule.dport}")
    elif rule.protocol != "all":
        words.append(f"ip protocol {rule.protocol}")
    if rule.states:
        words.append(f"ct state {','.join(state.lower() for state in rule.states)}")
    words.append(f"counter packets {count.packets} bytes {count.bytes} {rule.target.lower()}")
    if rule.to:
        words.append(f"to {rule.to}")
    return " ".join(words)


def _network(text: str) -> str:
    return text.removesuffix("/32")


def _short(number: int) -> str:
    """A count as iptables shortens it: in thousands, millions … (of 1000) above 99 999."""
    for suffix in ("", "K", "M", "G"):
        if number <= (99_999 if not suffix else 9_999):
            return f"{number}{suffix}"
        number = (number + 500) // 1000
    return f"{number}T"


def _conversation(entry: Conversation, now: float) -> str:
    protocol = entry.original.protocol
    name = {ICMP: "icmp", TCP: "tcp", UDP: "udp"}[protocol]
    state = f"{entry.state} " if protocol == TCP else ""
    words = [
        f"{name:<8} {protocol} {max(0, int(entry.expires - now))} {state}{_half(entry.original)}",
        *([] if entry.replied else ["[UNREPLIED]"]),
        _half(entry.reply),
        *(["[ASSURED]"] if entry.assured else []),
    ]
    return " ".join(words)


def _half(side: Tuple) -> str:
    ends = f"src={side.source} dst={side.destination}"
    if side.protocol == ICMP:
        return f"{ends} type={side.icmp_type} code=0 id={side.sport}"
    return f"{ends} sport={side.sport} dport={side.dport}"
