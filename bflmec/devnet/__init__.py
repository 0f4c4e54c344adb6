"""A whole network on one machine, of the real processes: a chain, edge nodes, clients."""
