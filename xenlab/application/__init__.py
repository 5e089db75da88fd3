"""Virtualization at the application level: a program runs code for a machine that exists nowhere else."""
