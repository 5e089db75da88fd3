"""CPU schedulers."""
