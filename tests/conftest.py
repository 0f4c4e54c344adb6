"""Settings that all tests share."""

from hypothesis import settings

# A busy machine is no failure: no test asserts how long something takes.
settings.register_profile("bflmec", deadline=None)
settings.load_profile("bflmec")
