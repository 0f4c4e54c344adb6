"""A deployed consortium for the contract tests: edge nodes with keys, a block factory, and exact reverts.

Nothing here compiles; contracts come from the committed artifacts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import eth_abi.abi as abi
import pytest
from eth.vm.spoof import SpoofTransaction
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from web3 import EthereumTesterProvider, Web3
from web3.contract import Contract

from bflmec.crypto.seal import search
from bflmec.ledger.artifacts import CONTRACTS, load
from bflmec.protocol import merkle
from bflmec.protocol.blocks import (
    ZERO_DIGEST,
    Header,
    Reward,
    Transaction,
    encode_rewards,
    encode_transactions,
    transactions_hash,
)

RAW, DAG_PB = 0x55, 0x70
TOKEN = 10**18
GAS = 16_777_216  # EIP-7825's cap for one transaction, which the tests' EVM does not enforce itself
GAS_PRICE = 10**10
DOMAIN = b"BFL-MEC/v1/certificate"

PARAMETERS: Mapping[str, Any] = {
    "difficulty": 4,
    "aggregationThreshold": 3,
    "maxTransactions": 40,
    "baseReward": 100 * TOKEN,
    "minerReward": 0,
    "rulesDigest": sha256(b"rules").digest(),
    "archive": False,
    "genesisDigest": sha256(b"genesis").digest(),
    "genesisCodec": RAW,
}


def digest(*parts: object) -> bytes:
    """A digest that looks random and is the same every time."""
    return sha256(repr(parts).encode()).digest()


def account(index: int) -> bytes:
    """The account of a client that never signs on chain."""
    return digest("account", index)[:20]


def transactions(count: int, salt: object = 0) -> tuple[Transaction, ...]:
    return tuple(
        Transaction(account(i), 1 + i % 2, digest("gradient", salt, i), digest("signature", salt, i))
        for i in range(count)
    )


def share(total: int, count: int) -> tuple[Reward, ...]:
    """A reward list over the first `count` accounts that sums to `total`."""
    each = [total // count + 7 * i for i in range(count - 1)]
    return tuple(Reward(account(i), amount) for i, amount in enumerate([*each, total - sum(each)]))


def certify(header_hash: bytes, keys: Sequence[PrivateKey]) -> bytes:
    """The certificate of `keys` over a header, as documented in ECDSACertificates.sol."""
    return b"".join(
        entry(header_hash, key) for key in sorted(keys, key=lambda key: key.public_key.to_canonical_address())
    )


def entry(header_hash: bytes, key: PrivateKey) -> bytes:
    signature = key.sign_msg_hash(keccak(DOMAIN + header_hash))
    return signature.r.to_bytes(32, "big") + signature.s.to_bytes(32, "big") + bytes([27 + signature.v])


@dataclass(frozen=True)
class Append:
    """The arguments of one call of `append`."""

    header: Header
    nonce: int
    transactions: bytes
    rewards: bytes
    certificate: bytes

    def arguments(self) -> tuple[object, ...]:
        header = tuple(getattr(self.header, name) for name in self.header.__dataclass_fields__)
        return header, self.nonce, self.transactions, self.rewards, self.certificate


@dataclass
class Chain:
    """One EVM; every test starts from the same snapshot of it."""

    tester: EthereumTester
    web3: Web3

    @classmethod
    def start(cls) -> Chain:
        genesis = PyEVMBackend.generate_genesis_params({"gas_limit": 60_000_000})
        tester = EthereumTester(PyEVMBackend(genesis_parameters=genesis))
        web3 = Web3(EthereumTesterProvider(tester))
        web3.eth.default_account = web3.eth.accounts[0]
        return cls(tester, web3)

    @property
    def owner(self) -> str:
        """Owner of the registry, and the sender of whatever names no other."""
        return str(self.web3.eth.default_account)

    def user(self, index: int) -> str:
        return self.web3.eth.accounts[1 + index]

    def deploy(self, name: str, *arguments: object) -> Contract:
        artifact = load(name)
        contract = self.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        receipt = self._send(contract.constructor(*arguments), self.owner)
        return self.web3.eth.contract(abi=artifact.abi, address=receipt["contractAddress"])

    def send(self, call: Any, sender: str | None = None) -> Any:
        """Sends a contract call; the receipt. A revert raises."""
        return self._send(call, sender or self.owner)

    def _send(self, call: Any, sender: str) -> Any:
        arguments = {"from": sender, "gas": GAS, "gasPrice": GAS_PRICE}
        receipt = self.web3.eth.get_transaction_receipt(call.transact(arguments))
        if receipt["status"] == 0:
            transaction = call.build_transaction({**arguments, "nonce": 0})
            self.web3.eth.call({key: transaction[key] for key in ("from", "to", "gas", "data") if transaction[key]})
            raise AssertionError("reverted as a transaction, but not as a call on the same state")
        return receipt

    def call_with_storage(self, contract: Contract, slot: int, value: int, data: bytes) -> bytes:
        """What a call by the owner returns, or reverts with, if one storage slot held `value`; nothing is kept."""
        to, sender = (bytes.fromhex(address[2:]) for address in (contract.address, self.owner))
        chain = self.tester.backend.chain
        with chain.get_vm().in_costless_state() as state:
            state.set_storage(to, slot, value)
            transaction = chain.create_unsigned_transaction(
                nonce=state.get_nonce(sender), gas_price=GAS_PRICE, gas=GAS, to=to, value=0, data=data
            )
            return bytes(state.costless_execute_transaction(SpoofTransaction(transaction, from_=sender)).output)

    def events(self, contract: Contract, receipt: Any) -> list[tuple[str, dict[str, Any]]]:
        """What the contract logged: event names and their arguments."""
        logs = [log for log in receipt["logs"] if log["address"] == contract.address]
        decoded = [contract.events[_name_of(contract, log)]().process_log(log) for log in logs]
        return [(event["event"], dict(event["args"])) for event in decoded]


def _name_of(contract: Contract, log: Any) -> str:
    topics = {event.topic: event.abi["name"] for event in contract.events}
    return str(topics["0x" + bytes(log["topics"][0]).hex()])


@dataclass
class Consortium:
    """Participants with `keys` as active edge nodes 1, 2, …, a ledger and its reward token."""

    chain: Chain
    participants: Contract
    certificates: Contract
    ledger: Contract
    token: Contract
    parameters: Mapping[str, Any]
    keys: list[PrivateKey]
    balances: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def found(
        cls, chain: Chain, edge_nodes: int = 2, certificates: str = "ECDSACertificates", **changes: Any
    ) -> Consortium:
        participants = chain.deploy("Participants", chain.owner, False)
        scheme = chain.deploy(certificates, *([participants.address] if certificates == "XMSSCertificates" else []))
        given = {**PARAMETERS, **changes}
        parameters = {"participants": participants.address, "certificates": scheme.address, **given}
        ledger = chain.deploy("BFLLedger", tuple(parameters.values()))
        token = chain.deploy("RewardToken", ledger.address)
        consortium = cls(chain, participants, scheme, ledger, token, parameters, [])
        for index in range(edge_nodes):
            consortium.admit(edge_node_key(index))
        return consortium

    def admit(self, key: PrivateKey) -> int:
        address = key.public_key.to_canonical_address()
        call = self.participants.functions.admitEdgeNode(
            address, digest("sig", address), digest("kem", address), "https://e"
        )
        self.chain.send(call)
        self.keys.append(key)
        return int(self.participants.functions.lastEdgeNodeId().call())

    def header(self, count: int = 1, rewards: Sequence[Reward] = (), **changes: Any) -> Header:
        """The header that the ledger would accept next for `transactions(count, …)` and `rewards`."""
        parent, number, anchor, pending = self.ledger.functions.head().call()
        root, total = self.ledger.functions.rewards().call()
        is_update = pending + count >= self.parameters["aggregationThreshold"]
        miner = self.keys[0].public_key.to_canonical_address()
        paid = sum(reward.amount for reward in rewards) + self.parameters["minerReward"]
        if paid:
            root = merkle.root(self._balances_after(miner, rewards))
        number += 1
        header = Header(
            parent=parent,
            number=number,
            anchor=number if is_update else anchor,
            edge_node=miner,
            transactions_hash=transactions_hash(transactions(count, number)),
            transaction_count=count,
            body_digest=digest("body", number),
            global_digest=digest("global", number) if is_update else ZERO_DIGEST,
            global_codec=RAW if is_update else 0,
            rewards_root=root,
            rewards_total=total + paid,
        )
        return replace(header, **changes)

    def _balances_after(self, miner: bytes, rewards: Sequence[Reward]) -> dict[bytes, int]:
        balances = dict(self.balances)
        for reward in rewards:
            balances[reward.account] = balances.get(reward.account, 0) + reward.amount
        if self.parameters["minerReward"]:
            balances[miner] = balances.get(miner, 0) + self.parameters["minerReward"]
        return balances

    def block(
        self, count: int = 1, rewards: Sequence[Reward] = (), keys: Sequence[PrivateKey] | None = None, **changes: Any
    ) -> Append:
        """A sealed and certified next block; `changes` go into the header before it is sealed."""
        expected = self.header(count, rewards)
        header = replace(expected, **changes)
        packed = encode_transactions(transactions(count, expected.number))
        return self.seal(header, packed, encode_rewards(rewards), keys)

    def seal(
        self, header: Header, packed: bytes, rewards: bytes = b"", keys: Sequence[PrivateKey] | None = None
    ) -> Append:
        nonce = search(header.hash, self.parameters["difficulty"], 0, 2**20)
        assert nonce is not None
        return Append(header, nonce, packed, rewards, certify(header.hash, self.keys if keys is None else keys))

    def append(self, block: Append | None = None, sender: str | None = None) -> Any:
        """Appends and keeps the cumulative rewards in step; the receipt."""
        block = block or self.block()
        receipt = self.chain.send(self.ledger.functions.append(*block.arguments()), sender)
        pairs = [
            Reward(block.rewards[i : i + 20], int.from_bytes(block.rewards[i + 20 : i + 32], "big"))
            for i in range(0, len(block.rewards), 32)
        ]
        self.balances = self._balances_after(block.header.edge_node, pairs)
        return receipt

    def append_update(self, kept: int = 3) -> Any:
        """Appends one block that reaches the threshold and pays `kept` clients."""
        missing = self.parameters["aggregationThreshold"] - self.ledger.functions.head().call()[3]
        return self.append(self.block(max(missing, kept), share(self.parameters["baseReward"], kept)))

    def claim(self, account_: bytes, sender: str | None = None) -> Any:
        proof = merkle.proof(self.balances, account_)
        return self.chain.send(self.token.functions.claim(account_, self.balances[account_], proof), sender)


def edge_node_key(index: int) -> PrivateKey:
    return PrivateKey(digest("edge node", index))


_ERRORS = {
    keccak(f"{item['name']}({','.join(i['type'] for i in item['inputs'])})".encode())[:4]: item
    for name in CONTRACTS
    for item in load(name).abi
    if item["type"] == "error"
}


@contextmanager
def reverts(name: str, *arguments: object) -> Iterator[None]:
    """Expects the custom error `name`; if `arguments` are given, exactly these."""
    with pytest.raises(TransactionFailed) as caught:
        yield
    found = decode_error(caught.value)
    assert found[0] == name, f"reverted with {found}, not {name}"
    if arguments:
        assert found[1:] == arguments


def decode_error(failure: TransactionFailed) -> tuple[object, ...]:
    """Name and arguments of the custom error in a failed call; an address comes as its 20 bytes."""
    found = re.fullmatch(r"execution reverted: (b['\"].*)", str(failure), re.DOTALL)
    assert found, f"no revert data in {failure}"
    data = ast.literal_eval(found[1])
    assert data[:4] in _ERRORS, f"unknown error {data.hex()}"
    inputs = _ERRORS[data[:4]]["inputs"]
    values = abi.decode([item["type"] for item in inputs], data[4:])
    plain = [bytes.fromhex(v[2:]) if i["type"] == "address" else v for i, v in zip(inputs, values, strict=True)]
    return (_ERRORS[data[:4]]["name"], *plain)
