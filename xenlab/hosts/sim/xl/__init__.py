"""xl, the toolstack's command, interpreted: one module for each family of subcommands."""

from __future__ import annotations

from collections.abc import Callable

from xenlab.hosts.sim.getopt import BadOption, parse_options
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.storelog import TOOL
from xenlab.hosts.sim.world import World
from xenlab.hosts.sim.xl import (
    cpupool,
    create,
    debugkeys,
    devlist,
    info,
    lifecycle,
    memory,
    migrate,
    plug,
    saverestore,
    sched,
    vcpu,
)
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.hosts.sim.xl.usage import find_subcommand, help_on

COMMANDS: dict[str, Callable[[Invocation], int]] = {
    "block-attach": plug.block_attach,
    "block-detach": plug.block_detach,
    "block-list": devlist.block_list,
    "claims": info.claims,
    "console": lifecycle.console,
    "cpupool-cpu-add": cpupool.cpu_add,
    "cpupool-cpu-remove": cpupool.cpu_remove,
    "cpupool-create": cpupool.create,
    "cpupool-destroy": cpupool.destroy,
    "cpupool-list": cpupool.list_,
    "cpupool-migrate": cpupool.migrate,
    "cpupool-rename": cpupool.rename,
    "create": create.create,
    "debug-keys": debugkeys.debug_keys,
    "destroy": lifecycle.destroy,
    "dmesg": info.dmesg,
    "domid": info.domid,
    "domname": info.domname,
    "info": info.info,
    "list": info.list_,
    "mem-max": memory.mem_max,
    "mem-set": memory.mem_set,
    "migrate": migrate.migrate,
    "network-attach": plug.network_attach,
    "network-detach": plug.network_detach,
    "network-list": devlist.network_list,
    "pause": lifecycle.pause,
    "reboot": lifecycle.reboot,
    "rename": lifecycle.rename,
    "restore": saverestore.restore,
    "save": saverestore.save,
    "sched-credit": sched.sched_credit,
    "sched-credit2": sched.sched_credit2,
    "sharing": info.sharing,
    "shutdown": lifecycle.shutdown,
    "unpause": lifecycle.unpause,
    "uptime": info.uptime,
    "vcpu-list": vcpu.vcpu_list,
    "vcpu-pin": vcpu.vcpu_pin,
    "vcpu-set": vcpu.vcpu_set,
    "vm-list": info.vm_list,
}


def xl(world: World, process: Process) -> int:
    """Run ``xl [global options] SUBCOMMAND ...``; its exit status (source: xl.c, main)."""
    try:
        options, rest = parse_options(process.argv[1:], "vftTN", {}, in_order=True)
    except BadOption as bad:
        process.err(f"{process.argv[0]}: {bad.text}\nunknown global option\n")
        return 1
    letters = {letter for letter, _ in options}
    if not rest:
        process.out(help_on(None))
        return 1
    name, arguments = rest[0], rest[1:]
    command = find_subcommand(name)
    if command is None:
        if name == "help":
            process.out(help_on(arguments[0] if arguments else None))
            return 0
        process.err("command not implemented\n")
        return 1
    dry_run = "N" in letters
    if dry_run and not command.dry_run:
        process.err("command does not implement -N (dryrun) option\n")
        return 1
    if command.name not in COMMANDS:
        raise NotSimulated(f"xl {command.name}")
    if letters & {"v", "T"} and command.modifies:
        raise NotSimulated(f"xl -v {command.name}, which logs every step,")
    with world.store.speaking(TOOL):
        return COMMANDS[command.name](Invocation(world, process, arguments, dry_run))
