"""Typed client of the contracts over web3, their compiled artifacts and deployment records."""
