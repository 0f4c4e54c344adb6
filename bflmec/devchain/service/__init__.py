"""The embedded chain as a service: JSON-RPC over HTTP, a miner in a thread of its own, accounts with ether."""
