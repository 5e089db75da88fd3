"""Figures that the book promises, measured against their targets: `python -m bench`."""
