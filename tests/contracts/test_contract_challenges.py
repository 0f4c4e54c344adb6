"""Challenges: who loses a stake, for what, and that nobody loses one for a transaction that is in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import pytest
from consortium import Append, Chain, Consortium, account, digest, edge_node_key, entry, reverts
from eth_hash.auto import keccak
from hash_signers import HashConsortium
from web3.contract import Contract

from bflmec.crypto.schemes import signature_scheme
from bflmec.protocol.blocks import Transaction, encode_transactions
from bflmec.protocol.messages import GRADIENT_CONTEXT, GradientHeader, Mode

STAKE = 10**18
WINDOW = 8
SALT = digest("salt")
SCHEME = signature_scheme("ML-DSA-44")
CLIENT_SEED = digest("client key", 0)
KEY, OTHER_KEY = (SCHEME.from_seed(seed) for seed in (CLIENT_SEED, digest("client key", 1)))


@dataclass
class Staked:
    """Two edge nodes with stakes on a ledger, and a client with a key."""

    consortium: Consortium
    contract: Contract
    client: str
    blocks: list[tuple[Append, tuple[bytes, ...]]] = field(default_factory=list)

    @classmethod
    def found(cls, chain: Chain, **changes: object) -> Staked:
        consortium = Consortium.found(chain, 2, aggregationThreshold=100, **changes)
        verifier = chain.deploy("MLDSA44Verifier")
        contract = chain.deploy("Challenges", consortium.ledger.address, verifier.address, WINDOW)
        client = chain.user(5)
        chain.send(consortium.participants.functions.allowClients([client]))
        staked = cls(consortium, contract, client)
        staked.register(KEY.public_key)
        for key in consortium.keys:
            staked.deposit(key.public_key.to_canonical_address())
        return staked

    @property
    def chain(self) -> Chain:
        return self.consortium.chain

    @property
    def account(self) -> bytes:
        return bytes.fromhex(self.client[2:])

    def register(self, public_key: bytes) -> None:
        call = self.consortium.participants.functions.registerClient(sha256(public_key).digest())
        self.chain.send(call, self.client)

    def deposit(self, to: bytes, amount: int = STAKE) -> None:
        call = self.contract.functions.deposit(to)
        call.transact({"from": self.chain.owner, "value": amount, "gas": 200_000, "gasPrice": 10**10})

    def header(self, sequence: int = 0, **changes: object) -> GradientHeader:
        chain_id = int(self.chain.web3.eth.chain_id)
        ledger = bytes.fromhex(self.consortium.ledger.address[2:])
        parts = (chain_id, ledger, self.account, sequence, 0, digest("anchor"), Mode.DELTA, digest("blob"), 100, 1)
        return replace(GradientHeader(*parts), **changes)  # type: ignore[arg-type]

    def record(self, *headers: bytes, signatures: Sequence[bytes] = ()) -> int:
        """Appends a block with these local gradients of the client; its number."""
        given = [*signatures, *[b"no signature"] * (len(headers) - len(signatures))]
        entries = [
            Transaction(self.account, 1, sha256(header).digest(), sha256(signature).digest())
            for header, signature in zip(headers, given, strict=True)
        ]
        packed = encode_transactions(entries)
        block = self.consortium.header(len(entries))
        sealed = self.consortium.seal(replace(block, transactions_hash=keccak(packed)), packed)
        self.consortium.append(sealed)
        self.blocks.append((sealed, headers))
        return block.number

    def shown(self, number: int, index: int = 0) -> tuple[object, ...]:
        block, headers = self.blocks[number - 1]
        return block.arguments()[0], block.transactions, index, headers[index]

    def accusation(self, number: int, accused: int = 2, announced: bool = True) -> tuple[object, ...]:
        beneficiary = self.chain.user(3)
        if announced:
            commitment = self.contract.functions.commitmentOf(number, beneficiary, SALT).call()
            self.chain.send(self.contract.functions.announce(commitment))
        hash_ = self.blocks[number - 1][0].header.hash
        return [entry(hash_, key) for key in self.consortium.keys[:accused]], beneficiary, SALT

    def challenge(self, name: str, number: int, *arguments: object, accused: int = 2, index: int = 0) -> object:
        call = self.contract.functions[name](self.shown(number, index), *arguments, self.accusation(number, accused))
        return self.chain.send(call, self.chain.user(3))

    def stakes(self) -> list[int]:
        accounts = [key.public_key.to_canonical_address() for key in self.consortium.keys]
        return [self.contract.functions.stakeOf(one).call() for one in accounts]

    def balance(self, user: int) -> int:
        return int(self.chain.web3.eth.get_balance(self.chain.user(user)))


@pytest.fixture(scope="module")
def template(evm: Chain, founded: Consortium) -> Staked:
    return Staked.found(evm)


@pytest.fixture
def staked(template: Staked, chain: Chain) -> Staked:
    return Staked(template.consortium, template.contract, template.client)


def foreign(staked: Staked) -> dict[str, bytes]:
    good = staked.header()
    return {
        "another client": replace(good, client=account(1)).encode(),
        "another ledger": replace(good, ledger=account(2)).encode(),
        "another chain": replace(good, chain_id=5).encode(),
        "another version": b"\x02" + good.encode()[1:],
        "too short": good.encode()[:-1],
        "too long": good.encode() + b"\0",
        "nothing": b"",
    }


@pytest.mark.parametrize(
    "what",
    ["another client", "another ledger", "another chain", "another version", "too short", "too long", "nothing"],
)
def test_a_header_that_is_not_this_ledgers_and_clients_costs_the_stakes(staked: Staked, what: str) -> None:
    number = staked.record(foreign(staked)[what])
    staked.challenge("challengeHeader", number)
    assert staked.stakes() == [0, 0]
    assert staked.contract.functions.faultOf(number, 0).call() == 1


def test_half_of_the_stakes_goes_to_the_challenger_and_half_to_nobody(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    accusation = staked.accusation(number)
    before = staked.balance(3)
    staked.chain.send(staked.contract.functions.challengeHeader(staked.shown(number), accusation), staked.chain.user(4))
    assert staked.balance(3) - before == STAKE
    assert staked.chain.web3.eth.get_balance(staked.contract.address) == STAKE


def test_only_the_accused_lose_their_stake(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    staked.challenge("challengeHeader", number, accused=1)
    assert staked.stakes() == [0, STAKE]
    staked.challenge("challengeHeader", number)
    assert staked.stakes() == [0, 0]


def test_a_header_in_order_costs_nothing(staked: Staked) -> None:
    number = staked.record(staked.header().encode())
    with reverts("ChallengesNoFault"):
        staked.challenge("challengeHeader", number)
    assert staked.stakes() == [STAKE, STAKE]


def test_a_signature_that_holds_costs_nothing(staked: Staked) -> None:
    header = staked.header()
    signature = KEY.sign(header.digest, GRADIENT_CONTEXT)
    number = staked.record(header.encode(), signatures=[signature])
    with reverts("ChallengesNoFault"):
        staked.challenge("challengeSignature", number, [KEY.public_key], signature)


def test_a_signature_with_one_wrong_bit_costs_the_stakes(staked: Staked) -> None:
    header = staked.header()
    signature = bytearray(KEY.sign(header.digest, GRADIENT_CONTEXT))
    signature[1000] ^= 1
    number = staked.record(header.encode(), signatures=[bytes(signature)])
    staked.challenge("challengeSignature", number, [KEY.public_key], bytes(signature))
    assert staked.stakes() == [0, 0]
    assert staked.contract.functions.faultOf(number, 0).call() == 2


def test_bytes_that_are_no_signature_cost_the_stakes(staked: Staked) -> None:
    number = staked.record(staked.header().encode())
    staked.challenge("challengeSignature", number, [KEY.public_key], b"no signature")
    assert staked.stakes() == [0, 0]


def test_a_signature_by_a_key_that_was_replaced_since_costs_nothing(staked: Staked) -> None:
    header = staked.header()
    signature = KEY.sign(header.digest, GRADIENT_CONTEXT)
    number = staked.record(header.encode(), signatures=[signature])
    staked.register(OTHER_KEY.public_key)
    keys = [KEY.public_key, OTHER_KEY.public_key]
    for shown in ([OTHER_KEY.public_key], keys[::-1], [*keys, KEY.public_key], [KEY.public_key]):
        with reverts("ChallengesOtherKeys", staked.account):
            staked.challenge("challengeSignature", number, shown, signature)
    with reverts("ChallengesNoFault"):
        staked.challenge("challengeSignature", number, keys, signature)


def test_a_removed_client_keeps_its_past(staked: Staked) -> None:
    number = staked.record(staked.header().encode())
    staked.chain.send(staked.consortium.participants.functions.removeClient(staked.client))
    with reverts("ChallengesOtherKeys", staked.account):
        staked.challenge("challengeSignature", number, [], b"no signature")
    staked.challenge("challengeSignature", number, [KEY.public_key], b"no signature")
    assert staked.stakes() == [0, 0]


def test_a_local_gradient_of_somebody_without_any_key_costs_the_stakes(staked: Staked) -> None:
    stranger = replace(staked, client=staked.chain.user(6))
    number = stranger.record(stranger.header().encode())
    stranger.challenge("challengeSignature", number, [], b"no signature")
    assert staked.stakes() == [0, 0]


def test_a_sequence_that_was_recorded_before_costs_the_stakes(staked: Staked) -> None:
    first = staked.record(staked.header(7).encode())
    second = staked.record(staked.header(8).encode(), staked.header(7, updates=2).encode())
    staked.challenge("challengeSequence", second, staked.shown(first), index=1)
    assert staked.stakes() == [0, 0]
    assert staked.contract.functions.faultOf(second, 1).call() == 3


def test_a_sequence_recorded_twice_in_one_block_costs_the_stakes(staked: Staked) -> None:
    number = staked.record(staked.header(7).encode(), staked.header(7).encode())
    staked.challenge("challengeSequence", number, staked.shown(number, 0), index=1)
    assert staked.stakes() == [0, 0]


def test_the_first_of_two_is_in_order(staked: Staked) -> None:
    first, second = (staked.record(staked.header(7, updates=n).encode()) for n in (1, 2))
    for later in (second, first):
        with reverts("ChallengesNoFault"):
            staked.challenge("challengeSequence", first, staked.shown(later))


def test_other_sequences_and_other_clients_are_in_order(staked: Staked) -> None:
    first = staked.record(staked.header(7).encode())
    for other in (staked.header(8), staked.header(7, client=account(1))):
        with reverts("ChallengesNoFault"):
            staked.challenge("challengeSequence", staked.record(other.encode()), staked.shown(first))


def test_what_is_no_header_has_no_sequence(staked: Staked) -> None:
    first = staked.record(staked.header(7).encode() + b"\0")
    second = staked.record(staked.header(7).encode() + b"\0")
    with reverts("ChallengesNoFault"):
        staked.challenge("challengeSequence", second, staked.shown(first))


# --- what is shown has to be what the ledger holds


def test_what_is_shown_must_be_recorded(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    header, transactions, index, gradient = staked.shown(number)
    assert isinstance(header, tuple)
    assert isinstance(gradient, bytes)
    changed = {
        "header": ((*header[:-1], 1), transactions, index, gradient),
        "transactions": (header, bytes(86), index, gradient),
        "index": (header, transactions, 1, gradient),
        "gradientHeader": (header, transactions, index, gradient[:-1]),
    }
    accusation = staked.accusation(number)
    for what, record in changed.items():
        with reverts("ChallengesNotRecorded", what):
            staked.chain.send(staked.contract.functions.challengeHeader(record, accusation))
    with reverts("ChallengesNotRecorded", "signature"):
        staked.challenge("challengeSignature", number, [KEY.public_key], b"another signature")


@pytest.mark.parametrize("number", [0, 2])
def test_a_block_that_the_ledger_does_not_have_is_unknown(staked: Staked, number: int) -> None:
    staked.record(foreign(staked)["another client"])
    header, *rest = staked.shown(1)
    assert isinstance(header, tuple)
    record = ((header[0], number, *header[2:]), *rest)
    with reverts("ChallengesUnknownBlock", number):
        staked.chain.send(staked.contract.functions.challengeHeader(record, staked.accusation(1)))


def test_the_window_ends(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    for sequence in range(WINDOW - 1):
        staked.record(staked.header(sequence).encode())
    snapshot = staked.chain.tester.take_snapshot()
    staked.challenge("challengeHeader", number)
    staked.chain.tester.revert_to_snapshot(snapshot)
    staked.record(staked.header(99).encode())
    with reverts("ChallengesTooLate", number, WINDOW + 1):
        staked.challenge("challengeHeader", number)


# --- who is accused, and who gains


def test_a_challenge_is_announced_in_an_earlier_block(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    accusation = staked.accusation(number, announced=False)
    with reverts("ChallengesNotAnnounced"):
        staked.chain.send(staked.contract.functions.challengeHeader(staked.shown(number), accusation))


def test_a_copied_challenge_gains_nothing(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    entries, _, salt = staked.accusation(number)
    with reverts("ChallengesNotAnnounced"):
        call = staked.contract.functions.challengeHeader(staked.shown(number), (entries, staked.chain.user(4), salt))
        staked.chain.send(call)


def test_a_signature_over_another_block_accuses_nobody(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    _, beneficiary, salt = staked.accusation(number)
    entries = [entry(digest("another block"), key) for key in staked.consortium.keys]
    with reverts("ChallengesNobodyAccused"):
        record = staked.shown(number)
        staked.chain.send(staked.contract.functions.challengeHeader(record, (entries, beneficiary, salt)))
    assert staked.stakes() == [STAKE, STAKE]


@pytest.mark.parametrize("accused", [0, 2])
def test_a_challenge_that_takes_no_stake_is_refused(staked: Staked, accused: int) -> None:
    number = staked.record(foreign(staked)["another client"])
    if accused:
        staked.challenge("challengeHeader", number)
    with reverts("ChallengesNobodyAccused"):
        staked.challenge("challengeHeader", number, accused=accused)


def test_nobody_loses_a_stake_twice_in_one_challenge(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    entries, beneficiary, salt = staked.accusation(number, accused=1)
    before = staked.balance(3)
    record = staked.shown(number)
    staked.chain.send(staked.contract.functions.challengeHeader(record, (entries * 3, beneficiary, salt)))  # type: ignore[operator]
    assert staked.balance(3) - before == STAKE // 2


def test_a_beneficiary_that_takes_no_ether_undoes_the_challenge(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    entries, _, salt = staked.accusation(number, announced=False)
    refusing = staked.consortium.ledger.address
    commitment = staked.contract.functions.commitmentOf(number, refusing, salt).call()
    staked.chain.send(staked.contract.functions.announce(commitment))
    with reverts("ChallengesPaymentFailed", bytes.fromhex(refusing[2:])):
        staked.chain.send(staked.contract.functions.challengeHeader(staked.shown(number), (entries, refusing, salt)))


def test_an_announcement_is_not_set_back_by_repeating_it(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    accusation = staked.accusation(number)
    commitment = staked.contract.functions.commitmentOf(number, accusation[1], SALT).call()
    staked.chain.send(staked.contract.functions.announce(commitment))
    staked.chain.send(staked.contract.functions.challengeHeader(staked.shown(number), accusation))
    assert staked.stakes() == [0, 0]


# --- stakes


def node(index: int) -> bytes:
    return bytes(edge_node_key(index).public_key.to_canonical_address())


def retire(staked: Staked, id_: int = 1) -> None:
    staked.chain.send(staked.consortium.participants.functions.retireEdgeNode(id_))


def test_a_deposit_is_counted(staked: Staked) -> None:
    staked.deposit(account(9), 5)
    staked.deposit(account(9), 6)
    assert staked.contract.functions.stakeOf(account(9)).call() == 11


def test_an_empty_deposit_is_refused(staked: Staked) -> None:
    with reverts("ChallengesNoStake", account(9)):
        staked.chain.send(staked.contract.functions.deposit(account(9)))


def test_an_active_edge_node_keeps_its_stake_in(staked: Staked) -> None:
    for name in ("beginExit", "finishExit"):
        with reverts("ChallengesStillActive", node(0)):
            staked.chain.send(staked.contract.functions[name](node(0)))


def test_a_stake_comes_free_after_the_window(staked: Staked) -> None:
    functions = staked.contract.functions
    retire(staked)
    with reverts("ChallengesExitNotBegun", node(0)):
        staked.chain.send(functions.finishExit(node(0)))
    staked.chain.send(functions.beginExit(node(0)))
    staked.consortium.keys[:] = [staked.consortium.keys[1]]
    for sequence in range(WINDOW):
        with reverts("ChallengesExitTooEarly", node(0)):
            staked.chain.send(functions.finishExit(node(0)))
        staked.record(staked.header(sequence).encode())
    staked.chain.send(functions.finishExit(node(0)), staked.chain.user(4))
    assert staked.chain.web3.eth.get_balance(node(0)) == STAKE
    staked.consortium.keys[:] = [edge_node_key(0), edge_node_key(1)]


def test_a_stake_comes_free_although_the_ledger_stands_still(staked: Staked) -> None:
    retire(staked)
    staked.chain.send(staked.contract.functions.beginExit(node(0)))
    now = staked.chain.web3.eth.get_block("latest")["timestamp"]
    staked.chain.tester.time_travel(now + 30 * 24 * 3600)
    staked.chain.send(staked.contract.functions.finishExit(node(0)))
    assert staked.chain.web3.eth.get_balance(node(0)) == STAKE


def test_beginning_an_exit_again_does_not_make_it_longer(staked: Staked) -> None:
    retire(staked)
    staked.chain.send(staked.contract.functions.beginExit(node(0)))
    assert staked.chain.send(staked.contract.functions.beginExit(node(0)))["logs"] == []


def test_who_was_admitted_again_begins_anew(staked: Staked) -> None:
    functions, registry = staked.contract.functions, staked.consortium.participants.functions
    retire(staked)
    staked.chain.send(functions.beginExit(node(0)))
    staked.chain.send(registry.admitEdgeNode(node(0), digest("s"), digest("k"), "https://e"))
    retire(staked, 3)
    with reverts("ChallengesExitNotBegun", node(0)):
        staked.chain.send(functions.finishExit(node(0)))
    assert staked.chain.send(functions.beginExit(node(0)))["logs"]


def test_who_has_no_stake_has_no_exit(staked: Staked) -> None:
    with reverts("ChallengesNoStake", account(9)):
        staked.chain.send(staked.contract.functions.beginExit(account(9)))


def test_a_retired_edge_node_can_still_be_challenged(staked: Staked) -> None:
    number = staked.record(foreign(staked)["another client"])
    retire(staked)
    staked.chain.send(staked.contract.functions.beginExit(node(0)))
    staked.challenge("challengeHeader", number)
    assert staked.contract.functions.stakeOf(node(0)).call() == 0


@pytest.mark.parametrize(("name", "place"), [("ledger", 0), ("verifier", 1), ("window", 2), ("window", 3)])
def test_constructor_names_an_impossible_parameter(staked: Staked, name: str, place: int) -> None:
    given = [staked.consortium.ledger.address, staked.contract.functions.verifier().call(), WINDOW]
    if place < 2:
        given[place] = account(1)
    else:
        given[2] = 0 if place == 2 else 65
    with reverts("ChallengesImpossibleParameter", name):
        staked.chain.deploy("Challenges", *given)


def test_an_archiving_ledger_allows_a_longer_window(chain: Chain, staked: Staked) -> None:
    archive = Consortium.found(chain, 1, archive=True)
    verifier = staked.contract.functions.verifier().call()
    longer = chain.deploy("Challenges", archive.ledger.address, verifier, 1000)
    assert longer.functions.WINDOW().call() == 1000


def test_one_time_signatures_accuse_although_their_keys_are_used(chain: Chain, staked: Staked) -> None:
    hashes = HashConsortium.found(chain, 2, aggregationThreshold=100)
    verifier = staked.contract.functions.verifier().call()
    contract = chain.deploy("Challenges", hashes.base.ledger.address, verifier, WINDOW)
    here = Staked(hashes.base, contract, staked.client)
    accounts = [one.account for one in hashes.signers]
    for one in accounts:
        here.deposit(one)
    transaction = Transaction(here.account, 1, sha256(b"").digest(), digest("signature"))
    packed = encode_transactions([transaction])
    header = replace(hashes.base.header(), transactions_hash=keccak(packed))
    block = hashes.base.seal(header, packed)
    entries = [one.entry(hashes.ledger, header.hash) for one in hashes.signers]
    ordered = b"".join(entry_ for _, entry_ in sorted(zip(accounts, entries, strict=True)))
    hashes.base.append(replace(block, certificate=ordered))
    here.blocks.append((block, (b"",)))
    _, beneficiary, salt = here.accusation(1)
    chain.send(contract.functions.challengeHeader(here.shown(1), (entries, beneficiary, salt)))
    assert here.stakes() == [0, 0]
