"""The edge-node service: cache pool, journal, exchange, oracle loop, HTTP."""
