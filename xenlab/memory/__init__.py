"""Memory: frames and pages, Xen's checks of page tables, ballooning, sharing, and the way of an address."""

from xenlab.memory.balloon import Balloon
from xenlab.memory.entries import Entry, Flag
from xenlab.memory.frames import Frame, OutOfFrames, PageType
from xenlab.memory.machine import Machine
from xenlab.memory.paging import Refused
from xenlab.memory.sharing import Sharing

__all__ = ["Balloon", "Entry", "Flag", "Frame", "Machine", "OutOfFrames", "PageType", "Refused", "Sharing"]
