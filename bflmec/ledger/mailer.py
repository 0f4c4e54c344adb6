"""Gets transactions of one account into blocks: nonces, fees, and what nodes forget, refuse or answer too late.

A nonce is used once in a chain. So a call can be signed for one nonce as often as needed without a second effect; a
second nonce for the same call is used only when the first one was taken by another transaction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from threading import Lock
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3Exception

from bflmec.errors import LedgerError
from bflmec.ledger.fees import FeePolicy, Suggestions
from bflmec.ledger.outbox import CAPACITY, Call, Outbox, Sent, Waiting
from bflmec.ledger.refusals import Refusal, error_text, refusal

_TRIES = 12
_BACKOFF = 0.05  # seconds before the second try; then twice that, up to a second
_TRANSMISSIONS = 4  # of one transaction, while the connection breaks
_LOOKS_UNTIL_LOST = 5  # at a nonce that was used by another transaction, before it is believed
_FORGOTTEN_SECONDS = 5.0  # after which a transaction that the node does not know is sent again
_TRANSFER_GAS = 21_000
_HASHES_KEPT = 32
_CALLS_KEPT = 1_000  # of which somebody may still ask for the receipt

_log = logging.getLogger(__name__)


class Mailer:
    """Raises what web3 raises, and LedgerError. Threads may share it."""

    def __init__(self, w3: Web3, account: LocalAccount, chain_id: int, policy: FeePolicy, outbox: Outbox) -> None:
        self._w3 = w3
        self._account = account
        self._chain_id = chain_id
        self._policy = policy
        self._outbox = outbox
        self._suggestions = Suggestions(w3, policy)
        self._known: dict[bytes, Sent] = {}  # by every hash of the call, until it is settled
        self._taken: dict[bytes, int] = {}  # how often the nonce was found used, and no receipt
        self._lock = Lock()

    def find(self, transaction_hash: bytes) -> Sent | None:
        """What was posted under that hash and is not settled."""
        with self._lock:
            return self._known.get(transaction_hash)

    def post(self, call: Call) -> Sent:
        """Hand a call to the node, unless it waits there already or was mined last and nobody knows."""
        with self._outbox.exclusive() as waiting:
            sent = self._earlier(waiting, call)
            if sent is None:
                sent = self._new(waiting, call)
            elif sent.nonce in waiting:
                self._hand_over(sent)
            return self._noted(sent)

    def settle(self, sent: Sent) -> None:
        """Forget a call whose receipt was seen."""
        with self._lock:
            for one in [hash_ for hash_, known in self._known.items() if known is sent]:
                del self._known[one]
            self._taken.pop(sent.hashes[0], None)
        with self._outbox.exclusive() as waiting:
            if sent.nonce in waiting and waiting[sent.nonce].does(sent.call):
                del waiting[sent.nonce]

    def care(self, sent: Sent) -> Sent:
        """What a transaction that takes long needs: to be sent again, to pay more, another nonce.

        Returns it as it is now. Those with lower nonces, whoever sent them, get the same care, since they block it.
        """
        with self._outbox.exclusive() as waiting:
            mined = self._count("latest")
            if mined > sent.nonce:
                return self._without_nonce(waiting, sent)
            self._taken.pop(sent.hashes[0], None)
            own = waiting.setdefault(sent.nonce, sent)
            if not own.does(sent.call):  # another process moved on after a reorganisation
                return self._moved(waiting, sent)
            for nonce in range(mined, sent.nonce + 1):
                if nonce in waiting:
                    self._push(waiting, waiting[nonce])
                elif own.seconds() >= self._policy.replace_after and self._count("pending") <= nonce:
                    self._fill(waiting, nonce)
            return self._noted(own)

    # ---------------------------------------------------------------- new transactions

    def _earlier(self, waiting: Waiting, call: Call) -> Sent | None:
        """The same call, if it waits, or if it succeeded and nothing was sent after it. Forgets what was mined."""
        if not waiting:
            return None
        mined = self._count("latest")
        found = None
        for nonce, sent in list(waiting.items()):
            if nonce < mined:
                if nonce == mined - 1 and sent.does(call) and self._has_succeeded(sent):
                    found = sent
                del waiting[nonce]
            elif sent.does(call):
                found = sent
        return found

    def _new(self, waiting: Waiting, call: Call) -> Sent:
        if len(waiting) >= CAPACITY:
            raise LedgerError(f"{CAPACITY} transactions of this account wait; is the chain mining?")
        fees = self._suggestions.now()
        nonce = self._next_nonce(waiting)
        for attempt in range(_TRIES):
            sent = Sent.first(call, nonce, fees)
            waiting[nonce] = sent
            raw = self._sign(waiting, sent)
            try:
                self._transmit(sent, raw)
                return sent
            except Web3Exception as error:
                del waiting[nonce]
                reason = refusal(error)
                if reason is Refusal.OTHER or attempt == _TRIES - 1:
                    raise
                _log.info("transaction %d was refused (%s), trying again", nonce, error_text(error))
            time.sleep(min(_BACKOFF * 2**attempt, 1.0))
            if reason is Refusal.CHEAP:
                fees = self._suggestions.above(fees)
            else:  # somebody on another machine has the nonce
                nonce = max(nonce + 1, self._next_nonce(waiting))
        raise AssertionError("the last try raises")

    def _next_nonce(self, waiting: Waiting) -> int:
        pending = self._count("pending")
        last = max(waiting, default=-1)
        if last < pending:
            return pending
        for nonce in sorted(waiting):  # the node has forgotten these, or is behind
            if nonce >= pending:
                self._hand_over(waiting[nonce])
        return last + 1

    def _fill(self, waiting: Waiting, nonce: int) -> None:
        """Use a nonce that another machine left out, for nothing, so that the ones after it can be mined."""
        fees = self._suggestions.now()
        nothing = Call(bytes.fromhex(self._account.address[2:]), b"", _TRANSFER_GAS)
        waiting[nonce] = Sent.first(nothing, nonce, fees)
        self._sign(waiting, waiting[nonce])
        self._hand_over(waiting[nonce])

    # ---------------------------------------------------------------- waiting transactions

    def _push(self, waiting: Waiting, sent: Sent) -> None:
        """Send a waiting transaction again if the node has forgotten it, or with higher fees if it waits for long."""
        if sent.seconds() >= min(_FORGOTTEN_SECONDS, self._policy.replace_after) and not self._is_known(sent):
            self._hand_over(sent)
        elif sent.seconds() >= self._policy.replace_after:
            self._replace(waiting, sent)

    def _replace(self, waiting: Waiting, sent: Sent) -> None:
        try:
            fees = self._suggestions.above(sent.fees)
        except LedgerError as error:
            _log.warning("transaction %d waits, and may not pay more: %s", sent.nonce, error)
            return
        sent.most, sent.tip = fees.most, fees.tip
        del sent.hashes[:-_HASHES_KEPT]
        self._sign(waiting, sent)
        self._hand_over(sent)

    def _without_nonce(self, waiting: Waiting, sent: Sent) -> Sent:
        """Its nonce is used: by itself, as the receipt will show, or by another one, and then it needs a new nonce."""
        looks = self._taken[sent.hashes[0]] = self._taken.get(sent.hashes[0], 0) + 1
        if looks < _LOOKS_UNTIL_LOST or self._is_known(sent):
            return sent
        own = waiting.get(sent.nonce)
        if own is not None and own.does(sent.call):
            del waiting[sent.nonce]
        return self._moved(waiting, sent)

    def _moved(self, waiting: Waiting, sent: Sent) -> Sent:
        self._taken.pop(sent.hashes[0], None)
        again = self._earlier(waiting, sent.call) or self._new(waiting, sent.call)
        return self._noted(again, *sent.hashes)

    def _noted(self, sent: Sent, *earlier: bytes) -> Sent:
        """`sent` is found by its hashes from now on, and by those of the transactions that it stands for."""
        with self._lock:
            self._known |= dict.fromkeys([*earlier, *sent.hashes], sent)
            while len(self._known) > _CALLS_KEPT:
                del self._known[next(iter(self._known))]
        return sent

    # ---------------------------------------------------------------- the node

    def _sign(self, waiting: Waiting, sent: Sent) -> bytes:
        """Sign the newest version and note it in the outbox, before any node has it."""
        signed = self._signed(sent)
        sent.hashes = [*sent.hashes, bytes(signed.hash)]
        sent.at = time.time()
        waiting[sent.nonce] = sent
        self._outbox.save()
        return bytes(signed.raw_transaction)

    def _signed(self, sent: Sent) -> Any:
        call = sent.call
        fields: dict[str, Any] = {"data": call.data, "gas": call.gas, "value": call.value}
        if call.to is not None:
            fields["to"] = to_checksum_address(call.to)
        place = {"chainId": self._chain_id, "nonce": sent.nonce}
        return self._account.sign_transaction(fields | place | sent.fees.fields())

    def _transmit(self, sent: Sent, raw: bytes) -> None:
        """Raises Web3Exception if the node refuses it, OSError if nobody knows whether it has it: then it stays in the
        outbox, and the same call goes on with it."""
        for attempt in range(_TRANSMISSIONS):
            try:
                self._w3.eth.send_raw_transaction(raw)
                return
            except Web3Exception as error:
                reason = refusal(error)
                if reason is Refusal.KNOWN or (reason is Refusal.NONCE_USED and self._is_known(sent)):
                    return
                raise
            except OSError:
                if attempt == _TRANSMISSIONS - 1:
                    raise
                time.sleep(_BACKOFF * 2**attempt)

    def _hand_over(self, sent: Sent) -> None:
        """Send the newest version again. Refusals change nothing: an earlier version may be where it should."""
        try:
            sent.at = time.time()
            self._transmit(sent, bytes(self._signed(sent).raw_transaction))
        except Web3Exception as error:
            _log.info("transaction %d was refused when it was sent again: %s", sent.nonce, error_text(error))

    def _is_known(self, sent: Sent) -> bool:
        return any(self._has(one) for one in reversed(sent.hashes))

    def _has(self, transaction_hash: bytes) -> bool:
        try:
            return bool(self._w3.eth.get_transaction(transaction_hash))  # type: ignore[arg-type]
        except TransactionNotFound:
            return False

    def _has_succeeded(self, sent: Sent) -> bool:
        receipts = (receipt_of(self._w3, one) for one in sent.hashes)
        return any(receipt is not None and receipt["status"] == 1 for receipt in receipts)

    def _count(self, tag: str) -> int:
        return self._w3.eth.get_transaction_count(self._account.address, tag)  # type: ignore[arg-type]


def receipt_of(w3: Web3, transaction_hash: bytes) -> Mapping[str, Any] | None:
    """A transaction's receipt, None while no block has it."""
    try:
        return w3.eth.get_transaction_receipt(transaction_hash)  # type: ignore[arg-type]
    except TransactionNotFound:
        return None
