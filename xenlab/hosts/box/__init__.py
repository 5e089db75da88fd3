"""A real Xen host in QEMU: built from this machine's own packages, started from a snapshot in seconds."""
