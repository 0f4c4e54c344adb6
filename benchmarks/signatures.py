"""CPU time of key generation, signing and verification: the schemes of BFL-MEC beside RSA, for Table II of the paper.

    python benchmarks/signatures.py [--repeat 200]

The message is a digest of 32 bytes. Signing ML-DSA draws again until a candidate fits, so the slowest of twenty (p95)
says more than the mean.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bflmec.crypto.schemes import generate, signature_scheme, signatures

MESSAGE = sha256(b"a local gradient header").digest()
CONTEXT = b"BFL-MEC/v1/local-gradient"


def milliseconds(action: Callable[[], object], repeat: int) -> str:
    times = []
    for _ in range(repeat):
        start = time.process_time_ns()
        action()
        times.append((time.process_time_ns() - start) / 1e6)
    return f"{statistics.median(times):9.3f} {statistics.quantiles(times, n=20)[-1]:9.3f}"


def row(
    name: str, keygen: Callable[[], object], sign: Callable[[], object], verify: Callable[[], object], n: int
) -> str:
    return f"{name:24} " + "   ".join(milliseconds(action, n) for action in (keygen, sign, verify))


def rsa_row(bits: int, repeat: int) -> str:
    def make() -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, bits)

    key = make()
    public, pss = key.public_key(), padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    signature = key.sign(MESSAGE, pss, hashes.SHA256())
    return row(
        f"RSA-{bits}",
        make,
        lambda: key.sign(MESSAGE, pss, hashes.SHA256()),
        lambda: public.verify(signature, MESSAGE, pss, hashes.SHA256()),
        repeat,
    )


def scheme_row(name: str, repeat: int) -> str:
    scheme = signature_scheme(name)
    key = generate(scheme)
    signature = key.sign(MESSAGE, CONTEXT)
    return row(
        name,
        lambda: generate(scheme),
        lambda: key.sign(MESSAGE, CONTEXT),
        lambda: scheme.verify(key.public_key, MESSAGE, signature, CONTEXT),
        repeat,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=200)
    repeat = parser.parse_args().repeat
    print(f"{'CPU ms: median, p95':24} {'key generation':^19}   {'sign':^19}   {'verify':^19}")
    for name in signatures.names():
        slow = signature_scheme(name).backend == "dilithium-py"
        if "@" not in name or slow:
            print(scheme_row(name, max(repeat // 10, 5) if slow else repeat))
    for bits in (2048, 3072):
        print(rsa_row(bits, max(repeat // 10, 5)))


if __name__ == "__main__":
    main()
