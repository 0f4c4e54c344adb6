"""A virtual-time world that drives the protocol's own objects."""
