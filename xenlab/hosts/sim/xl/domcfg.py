"""From a configuration file to a domain's configuration: what xl looks up, in its order, and where it gives
up.

Source: parse_config_data in xl_parse.c. Keys that xl does not know are passed over without a word, as xl
does; keys that it knows and the simulator does not interpret raise `NotSimulated`.
"""

from __future__ import annotations

import re
from typing import Any

from xenlab.hosts.sim.domconfig import DomainConfig, Vif
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.xl.invocation import Invocation
from xenlab.hosts.sim.xl.vcpu import BadRangeError, parse_cpus
from xenlab.hosts.sim.xlcfg import Config, ConfigSyntaxError, parse_config
from xenlab.networking.vifspec import FatalVifError, read_config
from xenlab.storage.diskspec import DiskSpec, DiskSpecError, parse_disk

_NOT_SIMULATED = frozenset(
    {
        "altp2m",
        "bootloader",
        "channel",
        "cpuid",
        "device_model_override",
        "device_model_version",
        "device_tree",
        "driver_domain",
        "dtdev",
        "e820_host",
        "firmware",
        "init_seclabel",
        "iomem",
        "ioports",
        "irqs",
        "nestedhvm",
        "p9",
        "passthrough",
        "pci",
        "pvcalls",
        "pvshim",
        "rdm",
        "sdl",
        "seclabel",
        "timer_mode",
        "usbctrl",
        "usbdev",
        "vdispl",
        "vfb",
        "videoram",
        "vkb",
        "vnc",
        "vnuma",
        "vsnd",
        "vtpm",
        "vuart",
    }
)
_ACTIONS = {
    "destroy": "destroy",
    "restart": "restart",
    "rename-restart": "restart_rename",
    "preserve": "preserve",
    "coredump-destroy": "coredump_destroy",
    "coredump-restart": "coredump_restart",
    "soft-reset": "soft_reset",
}
_ACTION_DEFAULTS = {
    "on_poweroff": "destroy",
    "on_reboot": "restart",
    "on_watchdog": "destroy",
    "on_crash": "destroy",
    "on_soft_reset": "soft-reset",
}
_TSC_MODES = (
    "default",
    "always_emulate",
    "native",
    "native_paravirt",
)  # libxl_types.idl: their numbers are 0 to 3
_USE_NAMES = "Please use the named parameter variant."
INT_MAX = 2**31 - 1


def parse_domain_config(xl: Invocation, text: str, source: str) -> DomainConfig:
    """Read the file's `text`; ends xl with status 1 where the file is wrong."""

    def report(line: str) -> None:
        xl.err(line + "\n")

    try:
        config = parse_config(text, source, report)
    except ConfigSyntaxError:
        xl.fail("Failed to parse config: Invalid argument")
    for key in config.settings:
        if key in _NOT_SIMULATED:
            raise NotSimulated(f"the configuration key {key}=")
    return _Reader(xl, config, source).read()


class _Reader:
    def __init__(self, xl: Invocation, config: Config, source: str) -> None:
        self.xl = xl
        self.config = config
        self.source = source

    def read(self) -> DomainConfig:
        fields: dict[str, Any] = {"type": self._type(), "hap": self._bool("hap")}
        fields["name"] = self.config.string("name")
        if fields["name"] is None:
            self.xl.fail("Domain name must be specified.")
        fields["uuid"] = self._uuid()
        fields["pool"] = self.config.string("pool")
        fields["weight"] = self.config.integer("cpu_weight")
        fields["cap"] = self.config.integer("cap")
        fields |= self._memory() | self._vcpus()
        for key in ("max_grant_frames", "max_maptrack_frames", "max_grant_version"):
            fields[key] = self._bounded(key)
        for key, default in _ACTION_DEFAULTS.items():
            fields[key] = self._action(key, default)
        shadow = self.config.integer("shadow_memory")
        fields["shadow_kb"] = None if shadow is None else shadow * 1024
        fields["nomigrate"] = self._bool("nomigrate")
        fields["localtime"] = self._bool("localtime")
        fields["tsc_mode"] = self._tsc_mode()
        fields["kernel"] = self.config.string("kernel")
        fields["ramdisk"] = self.config.string("ramdisk")
        fields["cmdline"] = self._cmdline()
        if fields["kernel"] is None:
            self.xl.fail("Neither kernel nor bootloader specified")
        fields["disks"] = self._disks()
        fields["vifs"] = self._vifs()
        return DomainConfig(**fields)

    def _type(self) -> str:
        asked = self.config.string("type")
        builder = self.config.string("builder")
        kind = None
        if asked is not None:  # xl compares only as many letters as were given
            kind = next((name for name in ("hvm", "pv", "pvh") if name.startswith(asked)), None)
            if kind is None:
                self.xl.fail(f"Invalid domain type {asked}.")
        if builder is not None:
            built = {"hvm": "hvm", "generic": "pv"}
            other = next((built[name] for name in built if name.startswith(builder)), None)
            if other is None:
                self.xl.fail(f"Invalid domain type {builder}.")
            if kind not in (None, other):
                self.xl.fail('Contradicting "builder" and "type" options specified.')
            kind = other
        if kind == "hvm":
            raise NotSimulated('a domain of type="hvm"')
        return kind or "pv"

    def _uuid(self) -> str:
        text = self.config.string("uuid")
        if text is None:
            return self.xl.world.new_uuid()
        digits = text.replace("-", "")
        if not re.fullmatch("[0-9a-fA-F]{32}", digits) or len(text) < 36:
            self.xl.fail(f"Failed to parse UUID: {text}")
        digits = digits.lower()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _memory(self) -> dict[str, int | None]:
        memory, most = self.config.integer("memory"), self.config.integer("maxmem")
        memory_kb = None if memory is None else memory * 1024
        return {"memory_kb": memory_kb, "max_memory_kb": memory_kb if most is None else most * 1024}

    def _vcpus(self) -> dict[str, Any]:
        vcpus = self.config.integer("vcpus")
        most = self.config.integer("maxvcpus")
        count = most or vcpus or 0
        if count < (vcpus or 0):
            self.xl.fail("xl: maxvcpus < vcpus")
        hard = self._affinity("cpus", count)
        soft = self._affinity("cpus_soft", count)
        placed = any(self.config.items(key, False) for key in ("cpus", "cpus_soft")) or bool(soft)
        return {
            "max_vcpus": count,
            "online_vcpus": None if vcpus is None else tuple(range(vcpus)),
            "hard_affinity": hard,
            "soft_affinity": soft,
            "numa_placement": False if placed else None,
        }

    def _affinity(self, key: str, vcpus: int) -> tuple[frozenset[int], ...]:
        try:
            if self.config.items(key, False) is not None:
                masks = [self._mask(item) for item in self.config.strings(key, False)[:vcpus]]
                return tuple(masks)
            text = self.config.string(key)
            return () if text is None else (self._mask(text),) * vcpus
        except BadRangeError as bad:
            self.xl.fail(str(bad))

    def _mask(self, text: str) -> frozenset[int]:
        return parse_cpus(text, self.xl.world.spec.pcpus)

    def _bounded(self, key: str) -> int | None:
        if key not in self.config.settings:
            return None
        value = self.config.integer(key, False)
        if value is None or not 0 <= value <= INT_MAX:
            self.xl.process.fail_silently()
        return value

    def _action(self, key: str, default: str) -> str:
        text = self.config.string(key)
        action = _ACTIONS.get(default if text is None else text)
        if action is None:
            self.xl.fail(f'Unknown {key} action "{text}" specified')
        return action

    def _tsc_mode(self) -> str | None:
        number = self.config.integer("tsc_mode", False)
        if number is not None:
            mode = _TSC_MODES[number] if 0 <= number < len(_TSC_MODES) else None
            hint = f'e.g. tsc_mode="{mode}"' if mode else ""
            self._report(f'WARNING: specifying "tsc_mode" as an integer is deprecated. {_USE_NAMES} {hint}')
            if mode is None:
                self.xl.fail(f'ERROR: invalid value {number} for "tsc_mode"')
        else:
            mode = self.config.string("tsc_mode", False)
            if mode is not None:
                self._report(f'got a tsc mode string: "{mode}"')
            if mode not in (None, *_TSC_MODES):
                self.xl.fail(f'ERROR: invalid value "{mode}" for "tsc_mode"')
        return None if mode == "default" else mode

    def _bool(self, key: str) -> bool | None:
        value = self.config.integer(key)
        return None if value is None else bool(value)

    def _cmdline(self) -> str | None:
        cmdline, root, extra = (self.config.string(key) for key in ("cmdline", "root", "extra"))
        if cmdline is not None:
            if root is not None or extra is not None:
                self.xl.err("Warning: ignoring root= and extra= in favour of cmdline=\n")
            return cmdline
        if root is None:
            return extra
        return f"root={root}" if extra is None else f"root={root} {extra}"

    def _report(self, line: str) -> None:
        self.xl.err(line + "\n")

    def _disks(self) -> tuple[DiskSpec, ...]:
        try:
            return tuple(parse_disk(spec, source=self.source) for spec in self.config.strings("disk"))
        except DiskSpecError as error:
            self.xl.fail(str(error))

    def _vifs(self) -> tuple[Vif, ...]:
        return tuple(self._vif(entry) for entry in self.config.strings("vif"))

    def _vif(self, entry: str) -> Vif:
        if any(token.strip().startswith(("colo_", "forwarddev")) for token in entry.split(",")):
            raise NotSimulated("the vif keys of COLO")
        try:
            spec, said = read_config(entry, self.source)
        except FatalVifError as error:
            for line in (*error.said, str(error)):
                self._report(line)
            self.xl.process.fail_silently()
        for line in said:
            self._report(line)
        return Vif.of(spec)
