"""Paravirtualization: guests that know Xen, from a kernel of a few lines to the numbers of the paper of 2003.

`kernel` assembles a PV guest's kernel for x86-64, of which `tiny.s` is the part that never changes; `processor` runs
such a kernel on a simulated Xen; `driver` runs it on a host, simulated or real.
"""
