"""Where a dom0 can be had: on this machine, over SSH, in the embedded box, or simulated."""
