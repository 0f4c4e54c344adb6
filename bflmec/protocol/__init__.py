"""The algorithms of the paper as pure state machines: no I/O, no clock, no threads."""
