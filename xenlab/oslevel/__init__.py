"""Virtualization by the operating system: one kernel shows each group of processes a system of its own."""
