"""The ML-DSA-44 verifier on a fast EVM (revm), from its committed artifact."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import pyrevm
from eth_abi.abi import encode
from eth_hash.auto import keccak

from bflmec.ledger.artifacts import load

GAS = 16_777_216  # EIP-7825's cap for one transaction
CALLER = "0x" + "11" * 20

# LONG_TESTS=1 runs thousands of cases and every single-bit flip: minutes instead of seconds.
LONG = os.environ.get("LONG_TESTS", "") not in ("", "0")


def call(name: str, types: list[str], *arguments: object) -> bytes:
    """Calldata of the function `name`."""
    return keccak(f"{name}({','.join(types)})".encode())[:4] + encode(types, arguments)


@dataclass(frozen=True)
class Verifier:
    """The deployed contract. A call that reverts or needs more than GAS raises RuntimeError."""

    evm: pyrevm.EVM
    address: str
    deployment_gas: int

    @classmethod
    @cache
    def deployed(cls) -> Verifier:
        evm = pyrevm.EVM()
        address = evm.deploy(CALLER, load("MLDSA44Verifier").bytecode)
        return cls(evm, address, evm.result.gas_used)

    def verify(self, public_key: bytes, message: bytes, context: bytes, signature: bytes) -> bool:
        types = ["bytes", "bytes32", "bytes", "bytes"]
        return self.answer(call("verify", types, public_key, message, context, signature))

    def verify_mu(self, public_key: bytes, mu: bytes, signature: bytes) -> bool:
        types = ["bytes", "bytes32[2]", "bytes"]
        return self.answer(call("verifyMu", types, public_key, [mu[:32], mu[32:]], signature))

    def answer(self, data: bytes) -> bool:
        returned = self.evm.message_call(caller=CALLER, to=self.address, calldata=data, gas=GAS)
        assert len(returned) == 32
        assert returned[:31] == bytes(31)
        assert returned[31] in (0, 1)
        return returned[31] == 1

    @property
    def gas(self) -> int:
        """What the last transaction cost, calldata and base fee of 21,000 included."""
        return int(self.evm.result.gas_used)

    @property
    def code_size(self) -> int:
        return len(self.evm.get_code(self.address) or b"")
