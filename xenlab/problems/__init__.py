"""Exercises without end: a seed makes a problem, always the same one, and every answer gets a reply."""
