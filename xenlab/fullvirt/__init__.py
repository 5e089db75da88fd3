"""Full virtualization: an unmodified guest, and monitors that keep it.

`guestos` is an operating system of a few dozen lines. `monitor` is what all monitors share; `trapping` runs the guest
in user mode and does for it whatever traps, `shadow` gives it page tables that it does not see, `assisted` lets a
processor with a guest mode and nested page tables do most of the work.
"""
