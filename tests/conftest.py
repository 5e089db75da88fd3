"""For all tests: properties are checked, not timed; a machine under load must fail none of them."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
