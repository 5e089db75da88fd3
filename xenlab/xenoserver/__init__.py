"""The XenoServer project, for which Xen was written, and what Xen makes of it: who may do what on a machine.

`roles` are the parts of the platform, `platform` lets them trade with each other in simulated time. `bootlog` reads how
Xen and dom0 start from Xen's own log. `privilege` says who runs at which level of the processor, `powers` what dom0 may
do that no other domain may, and tries it.
"""
