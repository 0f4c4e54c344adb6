"""Whatever the network does, a call takes effect once: lost, forgotten, too cheap, outrun or sent by two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_tools import ACCOUNTS, STRANGER, address, start_chain
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.providers import BaseProvider

from bflmec.devchain import DevChain, DevChainProvider
from bflmec.errors import LedgerError
from bflmec.ledger import sender as sender_module
from bflmec.ledger.fees import GWEI, FeePolicy
from bflmec.ledger.outbox import CAPACITY, Outbox
from bflmec.ledger.refusals import Refusal, refusal
from bflmec.ledger.sender import Sender

RECIPIENT = b"\x11" * 20
SENDER = STRANGER
GAS = 30_000


class Node(BaseProvider):
    """A node on an embedded chain that mines when the test says so. `before` and `after` see every request."""

    def __init__(self, chain: DevChain) -> None:
        super().__init__()
        chain.auto_mine = False
        self.chain = chain
        self.arrivals = 1
        self.before: Callable[[str], None] = lambda method: None
        self.after: Callable[[str, Any], Any] = lambda method, response: response

    def make_request(self, method: Any, params: Any) -> Any:
        self.before(method)
        for _ in range(self.arrivals):  # the last answer is the one that comes back
            response = DevChainProvider(self.chain).make_request(method, params)
        return self.after(method, response)

    def sends(self, **options: Any) -> Sender:
        options.setdefault("timeout", 20)
        return Sender(Web3(self), SENDER, **options)

    def effects(self) -> list[bytes]:
        """The data of the transactions in blocks, oldest first."""
        w3 = Web3(DevChainProvider(self.chain))
        blocks = (w3.eth.get_block(number, True) for number in range(1, w3.eth.block_number + 1))
        return [bytes(one["input"]) for block in blocks for one in block["transactions"] if one["input"]]  # type: ignore[index]

    def restart(self, file: Path) -> None:
        """What waits for a block is forgotten."""
        self.chain.close()
        self.chain = DevChain.open(file, auto_mine=False)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for what a slow network would need."""
    monkeypatch.setattr(sender_module, "_CARE_SECONDS", 0.0)
    monkeypatch.setattr(sender_module, "_LONGEST_PAUSE", 0.02)
    monkeypatch.setattr("bflmec.ledger.mailer._BACKOFF", 0.001)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(start_chain(tmp_path / "chain.sqlite"))
    yield made
    made.chain.close()


def hang_up(node: Node, method: str, times: int) -> None:
    """The next answers to that method are lost on their way back."""
    left = [times]

    def after(asked: str, response: Any) -> Any:
        if asked == method and left[0]:
            left[0] -= 1
            raise ConnectionResetError("the node hung up")
        return response

    node.after = after


def mine_after(node: Node, method: str, count: int) -> None:
    """Mine when that method was asked that often."""
    left = [count]

    def after(asked: str, response: Any) -> Any:
        if asked == method:
            left[0] -= 1
            if left[0] == 0:
                node.chain.mine()
        return response

    node.after = after


def mine_all(node: Node, count: int) -> None:
    """Mine when the account's first `count` nonces wait, however often each of them is sent."""

    def after(method: str, response: Any) -> Any:
        if method == "eth_sendRawTransaction" and node.chain.next_nonce(address(SENDER)) == count:
            node.chain.mine()
        return response

    node.after = after


# Connections


@pytest.mark.parametrize("times", [1, 3])
def test_an_answer_that_is_lost_is_asked_for_again(node: Node, times: int) -> None:
    hang_up(node, "eth_sendRawTransaction", times)
    sent = node.sends().submit(RECIPIENT, b"call", GAS)
    node.chain.mine()
    assert node.sends().confirm(sent)["status"] == 1
    assert node.effects() == [b"call"]


def test_a_call_whose_sending_failed_goes_on_when_it_is_sent_again(node: Node) -> None:
    sender = node.sends()
    hang_up(node, "eth_sendRawTransaction", 4)
    with pytest.raises(LedgerError, match="can't be reached"):
        sender.submit(RECIPIENT, b"call", GAS)
    sent = sender.submit(RECIPIENT, b"call", GAS)
    node.chain.mine()
    assert sender.confirm(sent)["status"] == 1
    assert node.effects() == [b"call"]


def test_a_connection_that_breaks_while_a_receipt_is_awaited_may_come_back(node: Node) -> None:
    sender = node.sends()
    sent = sender.submit(RECIPIENT, b"call", GAS)
    node.chain.mine()
    hang_up(node, "eth_getTransactionReceipt", 5)
    assert sender.confirm(sent)["status"] == 1


def test_a_node_that_stays_away_is_a_ledger_error(node: Node) -> None:
    sender = node.sends(timeout=0.1)
    sent = sender.submit(RECIPIENT, b"call", GAS)
    hang_up(node, "eth_getTransactionReceipt", 10**6)
    with pytest.raises(LedgerError, match="can't be reached"):
        sender.confirm(sent)


# Restarts


@pytest.mark.parametrize("is_mined", [False, True], ids=["waiting", "mined"])
def test_a_process_that_ended_before_the_receipt_finds_its_transaction(
    node: Node, tmp_path: Path, is_mined: bool
) -> None:
    file = tmp_path / "outbox"
    sent = node.sends(outbox=Outbox(file)).submit(RECIPIENT, b"call", GAS)
    if is_mined:
        node.chain.mine()
    restarted = node.sends(outbox=Outbox(file))
    assert restarted.submit(RECIPIENT, b"call", GAS) == sent
    node.chain.mine()
    restarted.confirm(sent)
    assert node.effects() == [b"call"]
    assert not file.exists()
    assert not list(tmp_path.glob("*.lock"))


def test_a_call_is_made_again_once_the_first_one_is_confirmed(node: Node) -> None:
    sender = node.sends()
    mine_after(node, "eth_sendRawTransaction", 1)
    sender.send(RECIPIENT, b"call", GAS)
    mine_after(node, "eth_sendRawTransaction", 1)
    sender.send(RECIPIENT, b"call", GAS)
    assert node.effects() == [b"call", b"call"]


def test_a_call_that_others_followed_is_not_taken_for_a_new_one(node: Node) -> None:
    sender = node.sends()
    for data in (b"on", b"off", b"on"):
        sender.submit(RECIPIENT, data, GAS)
        node.chain.mine()
    assert node.effects() == [b"on", b"off", b"on"]


def test_what_a_node_forgot_is_sent_again(node: Node, tmp_path: Path) -> None:
    sender = node.sends(fees=FeePolicy(replace_after=0.01))
    first, second = (sender.submit(RECIPIENT, data, GAS) for data in (b"first", b"second"))
    node.restart(tmp_path / "chain.sqlite")
    mine_all(node, 2)
    sender.confirm(second)
    sender.confirm(first)
    assert node.effects() == [b"first", b"second"]


# Fees


@pytest.mark.parametrize("kind", ["auto", "legacy"])
def test_a_transaction_that_waits_too_long_is_replaced_by_one_that_pays_more(node: Node, kind: Any) -> None:
    sender = node.sends(fees=FeePolicy(kind=kind, replace_after=0.01))
    first = sender.submit(RECIPIENT, b"call", GAS)
    before = Web3(node).eth.get_transaction(first)  # type: ignore[arg-type]
    mine_after(node, "eth_sendRawTransaction", 2)
    receipt = sender.confirm(first)
    after = Web3(node).eth.get_transaction(receipt["transactionHash"])
    assert after["hash"] != before["hash"]
    assert after["nonce"] == before["nonce"]
    for field in ("gasPrice",) if kind == "legacy" else ("maxFeePerGas", "maxPriorityFeePerGas"):
        assert after[field] >= before[field] * 1.1  # type: ignore[literal-required]
    assert node.effects() == [b"call"]


def test_nothing_pays_more_than_the_cap(node: Node) -> None:
    cap = 4 * GWEI
    sender = node.sends(fees=FeePolicy(cap=cap, replace_after=0.0), timeout=0.5)
    first = sender.submit(RECIPIENT, b"call", GAS)
    with pytest.raises(LedgerError, match="no block has"):
        sender.confirm(first)
    node.chain.mine()
    (waiting,) = Web3(node).eth.get_block("latest", True)["transactions"]
    assert 3.5 * GWEI < waiting["maxFeePerGas"] <= cap  # type: ignore[index]


def test_a_network_that_wants_more_than_the_cap_is_told_so(node: Node) -> None:
    with pytest.raises(LedgerError, match="max_fee_gwei"):
        node.sends(fees=FeePolicy(cap=GWEI)).submit(RECIPIENT, b"call", GAS)


# Others who send for the account


def other_machine(node: Node, nonce: int, data: bytes, fee: int = 100 * GWEI) -> None:
    fields = {"to": RECIPIENT, "data": data, "gas": GAS, "value": 0, "chainId": node.chain.chain_id, "nonce": nonce}
    signed = SENDER.sign_transaction(fields | {"maxFeePerGas": fee, "maxPriorityFeePerGas": fee})
    node.chain.send(bytes(signed.raw_transaction))


def test_a_nonce_that_another_machine_took_is_exchanged(node: Node) -> None:
    sender = node.sends()
    sent = sender.submit(RECIPIENT, b"own", GAS)
    other_machine(node, 0, b"other")
    node.chain.mine()
    mine_after(node, "eth_sendRawTransaction", 1)
    assert sender.confirm(sent)["status"] == 1
    assert node.effects() == [b"other", b"own"]


@pytest.mark.parametrize("is_mined", [False, True], ids=["waiting", "mined"])
def test_a_node_that_lags_gives_nonces_that_are_taken(node: Node, is_mined: bool) -> None:
    other_machine(node, 0, b"other")
    if is_mined:
        node.chain.mine()
    counts = iter(["0x0"] * 2)

    def lag(method: str, response: Any) -> Any:
        return response | {"result": next(counts, response.get("result"))} if "TransactionCount" in method else response

    node.after = lag
    sent = node.sends().submit(RECIPIENT, b"own", GAS)
    node.chain.mine()
    node.sends().confirm(sent)
    assert node.effects() == [b"other", b"own"]


def test_a_nonce_that_another_machine_left_out_is_filled(node: Node, tmp_path: Path) -> None:
    other_machine(node, 0, b"other")
    sender = node.sends(fees=FeePolicy(replace_after=0.02))
    sent = sender.submit(RECIPIENT, b"own", GAS)
    node.restart(tmp_path / "chain.sqlite")
    mine_all(node, 2)
    assert sender.confirm(sent)["status"] == 1
    assert node.effects() == [b"own"]
    assert Web3(node).eth.get_transaction_count(SENDER.address) == 2


def test_no_more_wait_than_the_outbox_holds(node: Node) -> None:
    sender = node.sends()
    for index in range(CAPACITY):
        sender.submit(RECIPIENT, bytes([index]), GAS)
    with pytest.raises(LedgerError, match="wait"):
        sender.submit(RECIPIENT, b"one more", GAS)


# Anything at all

FAULTS = st.lists(st.sampled_from(["", "", "", "lose", "lose answer", "repeat", "older", "mine"]), max_size=60)


@settings(max_examples=60)
@given(faults=FAULTS, calls=st.lists(st.booleans(), min_size=1, max_size=5), is_shared=st.booleans())
def test_each_call_takes_effect_once_whatever_the_network_does(
    faults: list[str], calls: list[bool], is_shared: bool
) -> None:
    """Two senders for one account, with one outbox or on two machines. The node mines now and then."""
    node = Node(start_chain())
    planned = iter(faults)
    older: dict[str, Any] = {}
    asked, fault = [0], [""]

    def before(method: str) -> None:
        asked[0] += 1
        fault[0] = next(planned, "")
        if fault[0] == "lose":
            raise ConnectionResetError("never arrived")
        if fault[0] == "mine" or asked[0] % 7 == 0:
            node.chain.mine()
        node.arrivals = 2 if fault[0] == "repeat" else 1

    def after(method: str, response: Any) -> Any:
        if fault[0] == "lose answer":
            raise ConnectionResetError("the answer was lost")
        previous = older.get(method, response)
        older[method] = response
        return previous if fault[0] == "older" and method == "eth_getTransactionCount" else response

    node.before, node.after = before, after
    outboxes = [Outbox(), Outbox()]
    senders = None
    while senders is None:
        try:
            senders = [node.sends(outbox=outboxes[0]), node.sends(outbox=outboxes[0 if is_shared else 1])]
        except LedgerError:
            continue
    wanted = [bytes([index + 1]) for index in range(len(calls))]
    sent = [again(senders[which].submit, RECIPIENT, data, GAS) for data, which in zip(wanted, calls, strict=True)]
    for transaction_hash, which in zip(sent, calls, strict=True):
        again(senders[which].confirm, transaction_hash)
    assert sorted(node.effects()) == wanted
    node.chain.close()


def again(method: Callable[..., Any], *arguments: Any) -> Any:
    for _ in range(100):
        try:
            return method(*arguments)
        except LedgerError:
            continue
    raise AssertionError("it never worked")


# What nodes say


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("already known", Refusal.KNOWN),
        ("AlreadyKnown", Refusal.KNOWN),
        ("transaction already imported", Refusal.KNOWN),
        ("Known transaction", Refusal.KNOWN),
        ("nonce too low", Refusal.NONCE_USED),
        ("nonce too low: next nonce 5, tx nonce 3", Refusal.NONCE_USED),
        ("Nonce too low", Refusal.NONCE_USED),
        ("OldNonce", Refusal.NONCE_USED),
        ("replacement transaction underpriced", Refusal.OCCUPIED),
        ("Transaction gas price supplied is too low to replace", Refusal.OCCUPIED),
        ("ReplacementNotAllowed", Refusal.OCCUPIED),
        ("transaction underpriced", Refusal.CHEAP),
        ("max fee per gas less than block base fee: address 0x00, maxFeePerGas: 1, baseFee: 7", Refusal.CHEAP),
        ("Gas price below configured minimum gas price", Refusal.CHEAP),
        ("insufficient funds for gas * price + value", Refusal.OTHER),
        ("intrinsic gas too low", Refusal.OTHER),
        ("exceeds block gas limit", Refusal.OTHER),
        ("invalid sender", Refusal.OTHER),
    ],
)
def test_refusals_are_understood(text: str, kind: Refusal) -> None:
    error = Web3Exception(text)
    assert refusal(error) is kind


def test_a_definite_refusal_leaves_nothing_behind(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "outbox"
    poor = Sender(Web3(node), SENDER, outbox=Outbox(file))
    with pytest.raises(LedgerError, match="insufficient funds"):
        poor.submit(RECIPIENT, b"", GAS, 10**30)
    assert not file.exists()
    sent = poor.submit(RECIPIENT, b"call", GAS)
    node.chain.mine()
    assert poor.confirm(sent)["status"] == 1


# The file


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x91\x01", b"\x90" * 5000], ids=["empty", "text", "type", "deep"])
def test_a_damaged_outbox_is_refused(node: Node, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "outbox").write_bytes(content)
    with pytest.raises(LedgerError, match="damaged"):
        node.sends(outbox=Outbox(tmp_path / "outbox")).submit(RECIPIENT, b"call", GAS)
    assert (tmp_path / "outbox").read_bytes() == content


def test_an_outbox_without_a_folder_is_a_ledger_error(node: Node, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="can't be made"):
        node.sends(outbox=Outbox(tmp_path / "none" / "outbox")).submit(RECIPIENT, b"call", GAS)


def test_only_the_owner_reads_what_was_sent(node: Node, tmp_path: Path) -> None:
    node.sends(outbox=Outbox(tmp_path / "outbox")).submit(RECIPIENT, b"call", GAS)
    assert (tmp_path / "outbox").stat().st_mode & 0o777 == 0o600
    assert len(ACCOUNTS) > 1
