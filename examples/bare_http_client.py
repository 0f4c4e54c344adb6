"""A client without the SDK: read the anchor, make a local gradient, sign, seal, post, check the receipt.

python examples/bare_http_client.py ACCOUNT.json SIGNATURE.json PASSWORD-FILE deployment.json RPC-URL EDGE-URL
"""

import sys
from hashlib import sha256
from pathlib import Path

import httpx
import numpy as np
from web3 import Web3

from bflmec.crypto.keys import account_address
from bflmec.crypto.keystore import read_key, read_password
from bflmec.crypto.schemes import signature_scheme
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment
from bflmec.protocol.messages import (
    GRADIENT_CONTEXT,
    RECEIPT_CONTEXT,
    Envelope,
    GradientHeader,
    Mode,
    Receipt,
    SignedHeader,
    decode,
    encode,
)
from bflmec.transport.binding import Binding, Purpose
from bflmec.transport.sealing import seal


def main(account_file: str, key_file: str, password_file: str, record: str, rpc: str, edge_url: str) -> None:
    password = read_password(Path(password_file))
    account = account_address(read_key(Path(account_file), password).secret)
    stored = read_key(Path(key_file), password)
    scheme = signature_scheme(stored.scheme)
    key = scheme.from_seed(stored.secret)
    ledger = LedgerClient(Web3(Web3.HTTPProvider(rpc)), Deployment.load(Path(record)))
    chain_id, address, anchor = ledger.deployment.chain_id, ledger.deployment.ledger, ledger.latest_anchor()
    with httpx.Client(base_url=edge_url, timeout=30) as http:
        node = http.get("/v1/node").raise_for_status().json()
        signature_key, sealing_key = (bytes.fromhex(node[name][2:]) for name in ("signature_key", "encapsulation_key"))
        registered = ledger.participants.edge_node(node["edge_node"])
        assert sha256(signature_key).digest() == registered.signature_key_digest, "not the edge node that is registered"
        assert sha256(sealing_key).digest() == registered.encapsulation_key_digest
        blob = http.get(f"/v1/blobs/{anchor.content}").raise_for_status().content  # a safetensors file
        start = 8 + int.from_bytes(blob[:8], "little")
        change = np.random.default_rng().normal(0, 1e-3, (len(blob) - start) // 4)  # your training goes here
        gradient = blob[:start] + change.astype("<f4").tobytes()
        numbers = http.get(f"/v1/clients/0x{account.hex()}/next-sequence").raise_for_status().json()
        header = GradientHeader(
            chain_id, address, account, numbers["next_sequence"], anchor.number, anchor.hash, Mode.DELTA,
            sha256(gradient).digest(), len(gradient), updates=1,
        )  # fmt: skip
        signed = SignedHeader(header.encode(), scheme.name, key.sign(header.digest, GRADIENT_CONTEXT), key.public_key)
        binding = Binding(chain_id, address, node["edge_node"], Purpose.UPLOAD)
        sealed = seal(encode(Envelope(signed, gradient)), sealing_key, binding)
        answer = http.post("/v1/gradients", content=sealed, headers={"Content-Type": "application/octet-stream"})
        receipt = decode(Receipt, answer.raise_for_status().content)
        statement = Receipt.statement(receipt.edge_node, header.digest)
        assert scheme.verify(signature_key, statement, receipt.signature, RECEIPT_CONTEXT), (
            "no receipt of this edge node"
        )
        print(f"0x{header.digest.hex()} is kept by edge node {receipt.edge_node}: sequence {header.sequence}")


if __name__ == "__main__":
    main(*sys.argv[1:])
