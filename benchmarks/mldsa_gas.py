"""Gas for verifying ML-DSA-44 on chain under several compiler settings, calldata and base fee included.

    python benchmarks/mldsa_gas.py                 # 200 optimizer runs, as the project compiles, and more
    python benchmarks/mldsa_gas.py --signatures 100

Every figure is of fresh signatures of random keys over 32 bytes, with the context of local gradients.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pyrevm
import solcx
from cryptography.hazmat.primitives.asymmetric import mldsa
from eth_abi.abi import encode
from eth_hash.auto import keccak

from bflmec.ledger import compile

CONTRACT = "MLDSA44Verifier"
CONTEXT = b"BFL-MEC/v1/local-gradient"
CALLER = "0x" + "11" * 20
GAS = 16_777_216
TYPES = ["bytes", "bytes32", "bytes", "bytes"]
SELECTOR = keccak(f"verify({','.join(TYPES)})".encode())[:4]


@dataclass(frozen=True)
class Cost:
    code_size: int
    deployment: int
    verifications: tuple[int, ...]

    @property
    def mean(self) -> float:
        return sum(self.verifications) / len(self.verifications)


def bytecode(runs: int) -> bytes:
    """Creation code with `runs` optimizer runs, all other settings being the project's."""
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in compile.closure(CONTRACT).items()},
        "settings": {
            **compile.SETTINGS,
            "optimizer": {"enabled": True, "runs": runs},
            "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
        },
    }
    output = solcx.compile_standard(request, solc_binary=compile.find_solc())
    return bytes.fromhex(output["contracts"][f"contracts/{CONTRACT}.sol"][CONTRACT]["evm"]["bytecode"]["object"])


def signed(count: int) -> Iterator[bytes]:
    """Calldata of `count` verifications that succeed."""
    for _ in range(count):
        key, message = mldsa.MLDSA44PrivateKey.generate(), os.urandom(32)
        arguments = (key.public_key().public_bytes_raw(), message, CONTEXT, key.sign(message, CONTEXT))
        yield SELECTOR + encode(TYPES, arguments)


def cost(code: bytes, signatures: int) -> Cost:
    evm = pyrevm.EVM()
    address = evm.deploy(CALLER, code)
    deployment, spent = evm.result.gas_used, []
    for data in signed(signatures):
        answer = evm.message_call(caller=CALLER, to=address, calldata=data, gas=GAS)
        if int.from_bytes(answer, "big") != 1:
            raise SystemExit("a valid signature was refused")
        spent.append(evm.result.gas_used)
    return Cost(len(evm.get_code(address) or b""), deployment, tuple(spent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signatures", type=int, default=30, help="signatures a setting (default: 30)")
    signatures = parser.parse_args().signatures
    print(f"solc {compile.SOLC_VERSION}, viaIR, evmVersion {compile.SETTINGS['evmVersion']}")
    print("  runs  code bytes  deployment  verify, mean  verify, worst")
    for runs in (200, 2_000, 1_000_000):
        found = cost(bytecode(runs), signatures)
        worst = max(found.verifications)
        print(f"{runs:7,} {found.code_size:10,} {found.deployment:11,} {found.mean:13,.0f} {worst:13,}")


if __name__ == "__main__":
    main()
