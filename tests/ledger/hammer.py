"""Sends transactions from one account: python hammer.py URL KEY NAME COUNT. Each carries `NAME-index` to 0x11…11."""

from __future__ import annotations

import sys

from eth_account import Account
from web3 import Web3

from bflmec.ledger.fees import FeePolicy
from bflmec.ledger.network import Network, connect
from bflmec.ledger.sender import Sender


def main(url: str, key: str, name: str, count: int) -> None:
    w3: Web3 = connect(Network(rpc=url))
    sender = Sender(w3, Account.from_key(key), fees=FeePolicy(replace_after=5))
    print("ready", flush=True)
    sys.stdin.readline()
    sent = []
    for index in range(count):
        sent.append(sender.submit(b"\x11" * 20, f"{name}-{index}".encode(), 30_000))
        if len(sent) == 4:
            sender.confirm(sent.pop(0))
    for transaction_hash in sent:
        sender.confirm(transaction_hash)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
