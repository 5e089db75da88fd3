"""Virtualization by a library: another library answers a program's calls, in place of the one it was made for."""
