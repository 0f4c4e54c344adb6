"""Post-quantum secure, fully asynchronous, blockchain-based federated learning for mobile edge computing."""

__version__ = "0.1.0"
