"""The simulated host's network: the models of `xenlab.networking` on the host's own clock, and the programs of dom0."""
