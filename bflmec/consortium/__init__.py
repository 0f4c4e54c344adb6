"""What everybody who works on one ledger has in common, put together from one configuration."""
