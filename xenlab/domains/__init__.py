"""Guest domains: their life, the commands that move them through it, and how they are shown."""
