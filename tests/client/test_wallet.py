"""A wallet: registration, submitting with failover, what survives, key rotation, rewards."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from client_world import ClientWorld, client_world

from bflmec.client.directory import WalletDirectory
from bflmec.client.wallet import Wallet
from bflmec.configuration import as_toml, load
from bflmec.crypto.keys import key_digest
from bflmec.errors import (
    BFLMECError,
    ClientQuotaError,
    ConfigError,
    KeystoreError,
    LedgerError,
    NoEdgeNodeError,
    NotRegisteredError,
    PoolFullError,
    RulesMismatchError,
    SignatureRejectedError,
    StorageError,
    WalletError,
)
from bflmec.ledger.client import LedgerClient
from bflmec.protocol.messages import Envelope, GradientHeader, decode


def sequences(world: ClientWorld) -> list[int]:
    """Sequence numbers of all uploads that reached an edge node."""
    return [
        GradientHeader.decode(decode(Envelope, upload).signed.header).sequence
        for edge in world.edges
        for upload in edge.uploads
    ]


def pooled(world: ClientWorld) -> list[bytes]:
    """Gradient digests in the cache pools."""
    return [item.gradient.digest for edge in world.edges for item in edge.node.pool]


# ---------------------------------------------------------------- registration


def test_a_client_registers_its_key_once(world: ClientWorld) -> None:
    wallet = world.wallet()
    assert not wallet.register()
    assert world.owner.participants.client_key_digest(wallet.account) == wallet.keys.key_digest


def test_who_is_not_allowed_is_told_whom_to_ask(tmp_path: Path) -> None:
    with client_world(tmp_path, 1, ("ledger.registration=allow-list",)) as world:
        with pytest.raises(NotRegisteredError, match="operator"):
            world.wallet()
        world.owner.participants.allow_clients([world.wallets[0].account])
        assert world.wallets[0].register()


def test_a_configuration_that_is_not_the_ledgers_is_refused(world: ClientWorld) -> None:
    directory = WalletDirectory.create(world.folder / "other")
    config = load(None, ["dataset=digits", "aggregation_threshold=9"])
    with pytest.raises(RulesMismatchError):
        Wallet(directory, directory.keys(directory.password()), config, world.deployment, lambda: world.w3)


# ---------------------------------------------------------------- the global gradient


def test_the_newest_global_gradient_comes_from_an_edge_node_and_stays(world: ClientWorld) -> None:
    wallet = world.wallet()
    gradient = wallet.latest_global_gradient()
    assert gradient.anchor.number == 0
    np.testing.assert_array_equal(gradient.weights, world.genesis.initial)
    for edge in world.edges:
        edge.down = True
    np.testing.assert_array_equal(wallet.latest_global_gradient().weights, gradient.weights)


def test_only_the_anchors_global_gradient_is_kept(world: ClientWorld) -> None:
    wallets = [world.wallet(f"wallet-{number}") for number in range(3)]
    for salt, wallet in enumerate(wallets):
        wallet.submit(weights=world.weights(wallet, salt=salt))
    block = world.mine()
    assert block.header.is_global_update
    gradient = wallets[0].latest_global_gradient()
    assert gradient.anchor.number == 1
    pins = wallets[0]._local_blobs.pins()
    assert pins == [gradient.anchor.content]


def test_a_wallet_with_no_edge_node_in_reach_has_no_global_gradient(world: ClientWorld) -> None:
    for edge in world.edges:
        edge.down = True
    with pytest.raises(StorageError):
        world.wallet().latest_global_gradient()


# ---------------------------------------------------------------- submitting


def test_a_submitted_delta_is_recorded_for_its_client(world: ClientWorld) -> None:
    wallet = world.wallet()
    base = wallet.latest_global_gradient().weights
    filed = wallet.submit(delta=np.full_like(base, 0.25))
    assert (filed.sequence, filed.updates) == (1, 1)
    edge = world.edges[filed.edge_node - 1]
    np.testing.assert_allclose(next(iter(edge.node.pool)).gradient.vector, 0.25, atol=1e-6)
    block = world.mine()
    assert [(entry.client, entry.gradient) for entry in block.transactions] == [(wallet.account, filed.digest)]
    assert wallet.watch() == []
    assert wallet.status().recorded == 1


@pytest.mark.parametrize("wrong", [{}, {"weights": 1, "delta": 1}], ids=["neither", "both"])
def test_submit_takes_either_weights_or_a_delta(world: ClientWorld, wrong: dict[str, int]) -> None:
    wallet = world.wallet()
    vectors = dict.fromkeys(wrong, world.genesis.initial)
    with pytest.raises(ConfigError):
        wallet.submit(**vectors)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_taken(world: ClientWorld, value: float) -> None:
    wallet = world.wallet()
    wallet.latest_global_gradient()
    with pytest.raises(ConfigError):
        wallet.submit(weights=np.full_like(world.genesis.initial, value))
    assert wallet.status().pending == 0


def test_the_next_edge_node_takes_what_the_nearest_does_not(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    nearest = wallet._edge_nodes.nearest()[0]
    world.edges[nearest.id - 1].down = True
    assert wallet.submit(weights=weights).edge_node != nearest.id


def test_a_preferred_edge_node_is_asked_first_while_it_answers(world: ClientWorld) -> None:
    wallet = world.wallet(prefer=[2, 1])
    assert [wallet.submit(weights=world.weights(wallet, salt=salt)).edge_node for salt in (1, 2)] == [2, 2]
    world.edges[1].down = True
    assert wallet.submit(weights=world.weights(wallet, salt=3)).edge_node == 1


def test_other_sources_of_blobs_are_asked_before_edge_nodes(world: ClientWorld) -> None:
    for edge in world.edges:
        edge.down = True
    wallet = world.wallet(getters=[world.blobs.get])
    np.testing.assert_array_equal(wallet.latest_global_gradient().weights, world.genesis.initial)


@pytest.mark.parametrize("error", [PoolFullError, ClientQuotaError], ids=lambda error: error.__name__)
def test_an_edge_node_that_is_full_is_passed_over(world: ClientWorld, error: type[BFLMECError]) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    nearest = wallet._edge_nodes.nearest()[0]
    world.edges[nearest.id - 1].faults.append(error("no room"))
    assert wallet.submit(weights=weights).edge_node != nearest.id


def test_what_could_not_be_sent_goes_as_an_average(world: ClientWorld) -> None:
    wallet = world.wallet()
    first, second = world.weights(wallet, salt=1), world.weights(wallet, salt=2)
    for edge in world.edges:
        edge.down = True
    for weights in (first, second):
        with pytest.raises(NoEdgeNodeError, match="pending"):
            wallet.submit(weights=weights)
    assert wallet.status().pending == 2
    for edge in world.edges:
        edge.down = False
    filed = wallet.send_pending()
    assert filed is not None
    assert (filed.sequence, filed.updates) == (1, 2)
    content = next(iter(world.edges[filed.edge_node - 1].node.pool)).gradient.vector
    np.testing.assert_allclose(content, (first + second) / 2 - world.genesis.initial, atol=1e-6)


def test_what_may_have_arrived_is_sent_again_as_it_was(world: ClientWorld) -> None:
    """Two edge nodes must not hold different local gradients of one sequence number: the ledger records only one."""
    wallet = world.wallet()
    first, second = world.weights(wallet, salt=1), world.weights(wallet, salt=2)
    nearest = wallet._edge_nodes.nearest()
    world.edges[nearest[0].id - 1].faults.append("lose")
    world.edges[nearest[1].id - 1].faults.append("drop")
    with pytest.raises(NoEdgeNodeError):
        wallet.submit(weights=first)
    world.edges[nearest[0].id - 1].down = True
    filed = wallet.submit(weights=second)
    assert (filed.sequence, filed.updates) == (1, 1)
    assert len(set(pooled(world))) == 1
    rest = wallet.send_pending()
    assert rest is not None
    assert (rest.sequence, rest.updates) == (2, 1)


def test_advice_when_to_try_again_is_passed_on(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    for edge in world.edges:
        full = PoolFullError("no room")
        full.retry_after = 7.0
        edge.faults.append(full)
    with pytest.raises(NoEdgeNodeError) as caught:
        wallet.submit(weights=weights)
    assert caught.value.retry_after == 7.0


def test_what_all_refuse_is_told_as_the_refusal(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    for edge in world.edges:
        edge.faults.append(SignatureRejectedError("is not registered as a client"))
    with pytest.raises(SignatureRejectedError):
        wallet.submit(weights=weights)


def test_a_lost_answer_counts_once(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    for edge in world.edges:
        edge.faults.append("lose")
    with pytest.raises(NoEdgeNodeError):
        wallet.submit(weights=weights)
    filed = wallet.send_pending()
    assert filed is not None
    assert sequences(world) == [1, 1, 1]
    assert len(set(pooled(world))) == 1
    assert len(world.mine().transactions) == 1


def test_a_receipt_that_another_key_signed_is_no_receipt(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    edge = world.edges[1]
    edge.node.identity = replace(edge.node.identity, receipts=world.edges[0].signing_key)
    world.edges[0].down = True
    with pytest.raises(NoEdgeNodeError, match="receipt"):
        wallet.submit(weights=weights)
    assert wallet.status().pending == 1


def test_who_answers_with_other_keys_than_the_registry_gets_nothing(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    for edge in world.edges:
        edge.signing_key = wallet.keys.signing_key
    with pytest.raises(NoEdgeNodeError, match="other keys"):
        wallet.submit(weights=weights)
    assert sequences(world) == []


# ---------------------------------------------------------------- what was promised


def test_what_an_edge_node_keeps_for_itself_is_filed_with_another(world: ClientWorld) -> None:
    wallet = world.wallet(patience=0.0)
    filed = wallet.submit(weights=world.weights(wallet))
    world.edges[filed.edge_node - 1].node.pool.remove(filed.digest)
    wallet.watch()
    other = world.edges[2 - filed.edge_node]
    assert [item.gradient.digest for item in other.node.pool] == [filed.digest]
    assert {kept.receipt.edge_node for kept in wallet._store.filed()[0].receipts} == {1, 2}


def test_what_is_recorded_is_not_filed_again(world: ClientWorld) -> None:
    wallet = world.wallet(patience=0.0)
    wallet.submit(weights=world.weights(wallet))
    world.mine()
    uploads = len(sequences(world))
    assert wallet.watch() == []
    assert len(sequences(world)) == uploads


# ---------------------------------------------------------------- what survives


def test_another_process_goes_on_with_what_is_pending(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    for edge in world.edges:
        edge.faults.append("lose")
    with pytest.raises(NoEdgeNodeError):
        wallet.submit(weights=weights)
    wallet.close()
    again = world.wallet()
    assert again.status().pending == 1
    assert again.send_pending() is not None
    assert len(set(pooled(world))) == 1


def test_a_wallet_is_used_by_one_process_at_a_time(world: ClientWorld) -> None:
    world.wallet()
    with pytest.raises(WalletError, match="another process"):
        world.wallet()


def test_a_wallet_that_lost_its_state_signs_no_number_twice(world: ClientWorld) -> None:
    wallet = world.wallet()
    wallet.submit(weights=world.weights(wallet))
    world.mine()
    wallet.submit(weights=world.weights(wallet, salt=2))
    wallet.close()
    for file in world.folder.glob("wallet/wallet.sqlite*"):
        file.unlink()
    again = world.wallet()
    assert again.submit(weights=world.weights(again, salt=3)).sequence == 3


def test_a_wallet_restored_from_a_backup_leaves_numbers_that_are_taken(world: ClientWorld) -> None:
    wallet = world.wallet()
    wallet.submit(weights=world.weights(wallet))
    backup = wallet._store.snapshot()
    assert backup is not None
    wallet.submit(weights=world.weights(wallet, salt=2))
    wallet._store.save(backup)
    wallet.close()
    again = world.wallet()
    assert again.state.sequence == 2
    assert again.submit(weights=world.weights(again, salt=3)).sequence == 3


def test_the_wallet_of_one_ledger_is_refused_by_another(tmp_path: Path) -> None:
    with client_world(tmp_path) as world:
        world.wallet().close()
    with client_world(tmp_path, settings=("ledger.per_client=3",)) as other, pytest.raises(WalletError, match="ledger"):
        other.wallet()


@pytest.mark.parametrize("file", ["wallet.sqlite", "wallet.toml", "signature.json"])
def test_a_damaged_file_is_told(world: ClientWorld, file: str) -> None:
    wallet = world.wallet()
    wallet.close()
    (wallet.directory.path / file).write_bytes(b"\x00 no such file" * 100)
    with pytest.raises((WalletError, KeystoreError)) as caught:
        Wallet.open(wallet.directory.path, deployment=saved(world), config=configured(world))
    assert file in str(caught.value)


def saved(world: ClientWorld) -> Path:
    world.deployment.save(world.folder / "deployment.json")
    return world.folder / "deployment.json"


def configured(world: ClientWorld) -> Path:
    (world.folder / "config.toml").write_text(as_toml(world.config))
    return world.folder / "config.toml"


def test_nobody_else_may_read_a_wallet(world: ClientWorld) -> None:
    wallet = world.wallet()
    wallet.submit(weights=world.weights(wallet))
    assert stat.S_IMODE(wallet.directory.path.stat().st_mode) == 0o700
    for file in wallet.directory.path.iterdir():
        if file.is_file() and file.name != "networks.toml":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


# ---------------------------------------------------------------- keys


def test_a_rotated_key_signs_what_comes_next(world: ClientWorld) -> None:
    wallet = world.wallet()
    old = wallet.keys.key_digest
    digest = wallet.rotate_key()
    assert digest != old
    assert world.owner.participants.client_key_digest(wallet.account) == digest
    filed = wallet.submit(weights=world.weights(wallet))
    upload = decode(Envelope, world.edges[filed.edge_node - 1].uploads[-1])
    assert key_digest(upload.signed.public_key) == digest
    wallet.close()
    assert world.wallet().keys.key_digest == digest


def test_no_key_is_replaced_while_its_signatures_wait(world: ClientWorld) -> None:
    wallet = world.wallet()
    wallet.submit(weights=world.weights(wallet))
    with pytest.raises(WalletError, match="wait to be recorded"):
        wallet.rotate_key()
    world.mine()
    wallet.rotate_key()


def test_a_rotation_that_was_interrupted_is_finished_by_the_next(world: ClientWorld) -> None:
    wallet = world.wallet()
    wallet.directory.begin_rotation(wallet.directory.password(), light=True)
    begun = wallet.directory.next_keys(wallet.directory.password())
    assert begun is not None
    wallet._access.client.participants.register_client(begun.key_digest)
    wallet.close()
    again = Wallet(
        wallet.directory,
        wallet.directory.keys(wallet.directory.password()),
        world.config,
        world.deployment,
        lambda: world.w3,
    )
    world.wallets.append(again)
    assert again.rotate_key() == begun.key_digest
    assert not again.register()


def test_what_was_signed_and_not_sent_is_signed_again_with_the_new_key(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    for edge in world.edges:
        edge.faults.append("drop")
    with pytest.raises(NoEdgeNodeError):
        wallet.submit(weights=weights)
    digest = wallet.rotate_key()
    filed = wallet.send_pending()
    assert filed is not None
    upload = decode(Envelope, world.edges[filed.edge_node - 1].uploads[-1])
    assert key_digest(upload.signed.public_key) == digest


# ---------------------------------------------------------------- rewards


def three_paid(world: ClientWorld) -> list[Wallet]:
    wallets = [world.wallet(f"wallet-{number}") for number in range(3)]
    for salt, wallet in enumerate(wallets):
        wallet.submit(weights=world.weights(wallet, salt=salt))
    world.mine()
    return wallets


def test_rewards_are_claimed_once(world: ClientWorld) -> None:
    wallets = three_paid(world)
    owed = [wallet.claimable() for wallet in wallets]
    assert sum(owed) == world.deployment.parameters.base_reward
    assert [wallet.claim() for wallet in wallets] == owed
    assert [wallet.balance() for wallet in wallets] == owed
    assert [wallet.claim() for wallet in wallets] == [0, 0, 0]


def test_a_claim_that_a_block_made_stale_is_made_again(world: ClientWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    wallets = three_paid(world)
    access, stale = wallets[0]._access, []
    newest = access.newest_balances

    def late() -> dict[bytes, int]:
        balances = newest()
        if not stale:
            stale.append(1)
            for salt, wallet in enumerate(wallets, 10):
                wallet.submit(weights=world.weights(wallet, salt=salt))
            world.mine()
        return balances

    monkeypatch.setattr(access, "newest_balances", late)
    claimed = wallets[0].claim()
    assert claimed == wallets[0].balance() > world.deployment.parameters.base_reward // 2


def test_what_is_not_confirmed_can_be_claimed_all_the_same(world: ClientWorld) -> None:
    for wallet in three_paid(world):
        wallet.close()
    cautious = world.wallet("wallet-0", confirmations=1_000)
    assert cautious._index.number == 0
    assert cautious.claim() > 0


def test_a_client_that_was_never_paid_has_nothing_to_claim(world: ClientWorld) -> None:
    assert world.wallet().claim() == 0


def test_without_the_ledger_the_status_tells_what_the_wallet_knows(world: ClientWorld) -> None:
    wallet = world.wallet()
    wallet.submit(weights=world.weights(wallet))
    wallet.close()

    def no_chain() -> None:
        raise LedgerError("the chain can't be reached")

    directory = WalletDirectory.open(world.folder / "wallet")
    offline = Wallet(
        directory,
        directory.keys(directory.password()),
        world.config,
        world.deployment,
        no_chain,  # type: ignore[arg-type]  # never returns
    )
    world.wallets.append(offline)
    status = offline.status()
    assert (status.registered, status.earned, status.filed) == (None, None, 1)


def test_without_the_ledger_known_edge_nodes_are_enough_to_send(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    wallet.submit(weights=weights)
    client = wallet._access._client
    assert isinstance(client, LedgerClient)
    wallet.close()

    def no_chain() -> None:
        raise LedgerError("the chain can't be reached")

    directory = WalletDirectory.open(world.folder / "wallet")
    offline = Wallet(
        directory,
        directory.keys(directory.password()),
        world.config,
        world.deployment,
        no_chain,  # type: ignore[arg-type]  # never returns
    )
    world.wallets.append(offline)
    assert offline.submit(weights=weights).sequence == 2
