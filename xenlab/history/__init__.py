"""Where virtual machines come from, and why data centres filled up with them.

`timeline` holds the milestones with a source for each, `consolidation` the arithmetic of putting many servers' work
on few machines, `view` both as pictures.
"""
