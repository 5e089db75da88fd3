"""A simulated dom0: `xl`, xenstore's tools and a few others, interpreted over a model of the machine."""

from xenlab.hosts.sim.dom0 import SimDom0
from xenlab.hosts.sim.machine import MachineSpec
from xenlab.hosts.sim.process import NotSimulated

__all__ = ["MachineSpec", "NotSimulated", "SimDom0"]
