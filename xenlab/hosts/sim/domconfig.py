"""A domain's configuration as libxl keeps it, and its form as JSON (``xl list -l``, ``xl create -n``, save
files).

The names and their order are those of libxl_types.idl; a field that has its default value is left out, as
libxl does.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from xenlab.hosts.sim.machine import GuestType
from xenlab.networking.vifspec import VifSpec
from xenlab.storage.diskspec import DiskSpec

Json = dict[str, Any]
DEFAULT_BRIDGE = "xenbr0"  # vif.default.bridge in /etc/xen/xl.conf
INVALID_DOMID = 2**32 - 1  # stands for "the next free one"


@dataclass(frozen=True)
class Vif:
    """One virtual network interface."""

    devid: int = -1
    mac: str | None = None
    bridge: str | None = None
    ip: str | None = None
    script: str | None = None
    ifname: str | None = None
    model: str | None = None
    gatewaydev: str | None = None
    backend_domain: str | None = None
    type: str | None = None  # vif or vif_ioemu
    mtu: int = 0
    rate: tuple[int, int] | None = None  # bytes per interval, interval in microseconds
    trusted: bool | None = None

    @classmethod
    def of(cls, spec: VifSpec) -> Self:
        """The interface that a configuration's string, or arguments, ask for."""
        return cls(
            devid=-1 if spec.devid is None else spec.devid,
            mac=spec.mac or None,
            bridge=spec.bridge or DEFAULT_BRIDGE,
            ip=spec.ip or None,
            script=spec.script or None,
            ifname=spec.vifname or None,
            model=spec.model or None,
            gatewaydev=spec.gatewaydev or None,
            backend_domain=spec.backend or None,
            type={"": None, "ioemu": "vif_ioemu"}.get(spec.type, spec.type),
            mtu=spec.mtu,
            rate=(spec.rate.bytes_per_interval, spec.rate.interval_usec) if spec.rate else None,
            trusted=spec.trusted,
        )

    def to_json(self) -> Json:
        """The fields that are not libxl's defaults."""
        return _kept(
            backend_domname=self.backend_domain,
            devid=None if self.devid < 0 else self.devid,  # libxl will number it
            mtu=self.mtu or None,
            model=self.model,
            mac=self.mac,
            ip=self.ip,
            bridge=self.bridge,
            ifname=self.ifname,
            script=self.script,
            nictype=self.type,
            rate_bytes_per_interval=self.rate[0] if self.rate else None,
            rate_interval_usecs=self.rate[1] if self.rate else None,
            gatewaydev=self.gatewaydev,
            trusted=_defbool(self.trusted),
        )


@dataclass(frozen=True)
class DomainConfig:
    """What a domain is to be. Memory is in KiB; None stands for a default that libxl fills in."""

    name: str
    uuid: str
    type: GuestType = "pv"
    kernel: str | None = None
    ramdisk: str | None = None
    cmdline: str | None = None
    max_vcpus: int = 0
    online_vcpus: tuple[int, ...] | None = None
    memory_kb: int | None = None
    max_memory_kb: int | None = None
    hard_affinity: tuple[frozenset[int], ...] = ()
    soft_affinity: tuple[frozenset[int], ...] = ()
    numa_placement: bool | None = None
    tsc_mode: str | None = None
    weight: int | None = None
    cap: int | None = None
    scheduler: str | None = None
    pool: str | None = None
    domid: int | None = None
    stored: bool = False  # it is what libxl keeps of a domain that it has created
    bare: bool = False  # dom0's, which libxl did not create
    hap: bool | None = None
    nomigrate: bool | None = None
    localtime: bool | None = None
    shadow_kb: int | None = None
    max_grant_frames: int | None = None
    max_maptrack_frames: int | None = None
    max_grant_version: int | None = None
    disks: tuple[DiskSpec, ...] = ()
    vifs: tuple[Vif, ...] = ()
    on_poweroff: str = "destroy"
    on_reboot: str = "restart"
    on_watchdog: str = "destroy"
    on_crash: str = "destroy"
    on_soft_reset: str = "soft_reset"

    def to_json(self) -> Json:
        """The configuration as libxl writes it."""
        created = _kept(
            type=self.type,
            hap=_defbool(self.hap),
            name=self.name,
            domid=self.domid,
            uuid=None if self.bare else self.uuid,
            pool_name=self.pool,
            run_hotplug_scripts=None if self.bare else "True",
        )
        built = _kept(
            max_vcpus=self.max_vcpus or None,
            avail_vcpus=None if self.online_vcpus is None else list(self.online_vcpus),
            vcpu_hard_affinity=[sorted(mask) for mask in self.hard_affinity] or None,
            vcpu_soft_affinity=[sorted(mask) for mask in self.soft_affinity] or None,
            numa_placement=_defbool(self.numa_placement),
            tsc_mode=self.tsc_mode,
            max_memkb=self.max_memory_kb,
            target_memkb=self.memory_kb,
            video_memkb=0 if self.stored else None,
            shadow_memkb=self.shadow_kb,
            localtime=_defbool(self.localtime),
            disable_migrate=_defbool(self.nomigrate),
            max_grant_frames=self.max_grant_frames,
            max_maptrack_frames=self.max_maptrack_frames,
            max_grant_version=self.max_grant_version,
            sched_params=_kept(sched=self.scheduler, weight=self.weight, cap=self.cap),
            claim_mode=None if self.bare else "True",
            kernel=self.kernel,
            cmdline=self.cmdline,
            ramdisk=self.ramdisk,
        )
        x86 = {"msr_relaxed": "False"} if self.stored else {}
        built |= {f"type.{self.type}": {}, "arch_arm": {}, "arch_x86": x86}
        actions = {
            name: value
            for name in ("on_poweroff", "on_reboot", "on_watchdog", "on_crash", "on_soft_reset")
            if (value := getattr(self, name)) != "destroy"
        }
        devices = _kept(
            disks=[disk.to_json() for disk in self.disks] or None,
            nics=[vif.to_json() for vif in self.vifs] or None,
        )
        return {"c_info": created, "b_info": built, **devices, **actions}

    def dump(self) -> str:
        """All fields as one line of text, for the save file."""
        return json.dumps(asdict(self), default=sorted)

    @classmethod
    def load(cls, text: str) -> DomainConfig:
        """The configuration that `dump` wrote."""
        fields = json.loads(text)
        for name in ("hard_affinity", "soft_affinity"):
            fields[name] = tuple(frozenset(mask) for mask in fields[name])
        if fields["online_vcpus"] is not None:
            fields["online_vcpus"] = tuple(fields["online_vcpus"])
        fields["disks"] = tuple(DiskSpec(**disk) for disk in fields["disks"])
        fields["vifs"] = tuple(
            Vif(**{**vif, "rate": tuple(vif["rate"]) if vif["rate"] else None}) for vif in fields["vifs"]
        )
        return cls(**fields)


def libxl_json(value: object, depth: int = 0) -> str:
    """`value` as libxl prints JSON: yajl's beautifier with four spaces.

    >>> print(libxl_json({"domid": 1, "cpus": []}))
    {
        "domid": 1,
        "cpus": [
    <BLANKLINE>
        ]
    }
    """
    if not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    indent, inner = "    " * depth, "    " * (depth + 1)
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {libxl_json(item, depth + 1)}" for key, item in value.items()]
        opening, closing = "{}"
    else:
        lines = [libxl_json(item, depth + 1) for item in value]
        opening, closing = "[]"
    body = ",\n".join(inner + line for line in lines)
    return f"{opening}\n{body}\n{indent}{closing}"


def _kept(**fields: object) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _defbool(value: bool | None) -> str | None:
    return None if value is None else str(value)
