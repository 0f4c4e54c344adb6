"""Signature schemes, keys, keystore files and the proof-of-work seal."""

from bflmec.crypto import mldsa as mldsa  # enters ML-DSA into the registry
