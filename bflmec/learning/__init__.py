"""Models, data sets, partitions, the local update, and everything that a quorum recomputes bit for bit."""
