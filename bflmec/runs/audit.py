"""An auditor's recomputation of a run from its chain and its blobs: everything that public data allow.

Nothing that an edge node said is believed. The chain is executed again from its genesis; seals, certificates,
transaction hashes, signatures, sequence numbers, reward lists and roots are recomputed block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bflmec.configuration.sections import Config
from bflmec.consortium.rules import rules_of
from bflmec.consortium.signatures import verifier_of
from bflmec.crypto.schemes import signature_scheme
from bflmec.errors import BFLMECError, VerificationError
from bflmec.learning.blob import blob_size, decode_blob
from bflmec.learning.datasets import load_dataset
from bflmec.learning.models import create_model
from bflmec.ledger.certifiers import signers_of
from bflmec.ledger.events import RecordedBlock
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import MAX_BODY, Body, GradientHeader, decode, transaction
from bflmec.protocol.verification import GradientVerifier
from bflmec.runs.directory import RunDirectory
from bflmec.runs.ledger_access import OpenLedger, open_ledger
from bflmec.storage import RAW, Cid

NOT_PUBLIC = (
    "that each global gradient is the fair aggregation of its local gradients, and each reward the share it should be: "
    "local gradients are private. The edge nodes that certified the block recomputed both."
)
REGISTRY_AS_OF_NOW = "keys that were replaced since: signatures are checked against the keys that are registered now."


@dataclass
class Check:
    """One kind of check: how often it held, and what it found where it did not."""

    name: str
    passed: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class AuditReport:
    """What was checked, and what could not be and why."""

    checks: tuple[Check, ...]
    unchecked: tuple[str, ...] = (NOT_PUBLIC, REGISTRY_AS_OF_NOW)

    @property
    def holds(self) -> bool:
        return not any(check.failures for check in self.checks)

    def require(self) -> None:
        """Raises VerificationError if anything does not hold."""
        failures = [f"{check.name}: {failure}" for check in self.checks for failure in check.failures]
        if failures:
            raise VerificationError(f"{len(failures)} checks failed; the first: {failures[0]}")


class Audit:
    """Collects the checks of one run."""

    def __init__(self, config: Config, opened: OpenLedger, progress: Callable[[str], None]) -> None:
        self._config = config
        self._ledger, self._chain, self._blobs = opened
        self._progress = progress
        self._checks: dict[str, Check] = {}
        self._state = LedgerState(self._ledger.parameters())
        self._nodes = dict(self._ledger.participants.edge_nodes())
        folder = Path(config.data.directory) if config.data.directory else None
        dataset = load_dataset(config.data.dataset, folder, progress)
        self._model = create_model(config.learning.model, dataset.features, dataset.classes)
        self._rules = rules_of(config, self._model)
        scheme = signature_scheme(config.signatures.scheme, config.signatures.backend)
        self._verifier = GradientVerifier(
            self._state, self._ledger.participants, self._rules, self._model.spec, verifier_of(scheme)
        )
        self._bodies: dict[int, Body] = {}
        self._unreadable: set[int] = set()

    def run(self) -> AuditReport:
        self._progress("executing the chain again from its genesis")
        with self._check("chain: every block executes to the recorded state"):
            self._chain.verify()
        with self._check("rules: the ledger committed to the run's configuration"):
            self._rules.require(self._state.parameters.rules_digest)
        with self._check("genesis: the initial global gradient is stored and finite"):
            self._check_global_gradient(self._state.parameters.genesis)
        self._progress("recomputing the ledger's blocks")
        unchecked = AuditReport.unchecked
        for recorded in self._ledger.blocks(1, self._ledger.head_number()):
            if not self._check_block(recorded):
                number = recorded.block.header.number
                unchecked += (f"all that follows block {number}: nothing can be recomputed from a block that fails.",)
                break
        else:
            self._check_ledger()
        return AuditReport(tuple(self._checks.values()), unchecked)

    @contextmanager
    def _check(self, name: str) -> Iterator[None]:
        check = self._checks.setdefault(name, Check(name))
        try:
            yield
        except BFLMECError as error:
            check.failures.append(str(error))
        else:
            check.passed += 1

    def _check_block(self, recorded: RecordedBlock) -> bool:
        """Every check of one block; false if the state can't follow it, so that later blocks mean nothing."""
        block, header = recorded.block, recorded.block.header
        with self._check("certificates: more than half of the edge nodes signed, the miner among them"):
            self._check_certificate(recorded)
        with self._check("bodies: what is stored is what the transactions record"):
            headers = self._read_body(recorded)
        if header.number in self._unreadable:
            return False
        with self._check("local gradients: signature, registered key, network, ledger and anchor"):
            self._check_gradients(recorded)
        with self._check("sequence numbers: each counts once, no client exceeds its share"):
            self._state.check_contents(block.transactions, headers, self._rules.per_client)
        with self._check("blocks: seal, parent, transaction hash, threshold, anchor, reward sum and reward root"):
            self._state.check(block)
        if header.is_global_update:
            with self._check("global gradients: stored under their content id, of the model's shape, finite"):
                self._check_global_gradient(Cid(header.global_codec, header.global_digest))
        try:
            self._state.apply(block, headers)
        except (BFLMECError, ValueError, KeyError):
            return False
        return True

    def _check_certificate(self, recorded: RecordedBlock) -> None:
        header = recorded.block.header
        accounts = set(signers_of(self._ledger, recorded))
        foreign = accounts - set(self._nodes.values())
        if foreign:
            raise VerificationError(f"block {header.number}: 0x{foreign.pop().hex()} is no active edge node")
        if header.edge_node not in accounts or 2 * len(accounts) <= len(self._nodes):
            raise VerificationError(f"block {header.number}: {len(accounts)} signatures are no quorum with its miner")

    def _read_body(self, recorded: RecordedBlock) -> dict[bytes, GradientHeader]:
        number, entries = recorded.block.header.number, recorded.block.transactions
        self._unreadable.add(number)
        body = decode(Body, self._blobs.get(Cid(RAW, recorded.block.header.body_digest), MAX_BODY))
        headers = [GradientHeader.decode(entry.header) for entry in body.entries]
        if body.number != number or len(headers) != len(entries):
            raise VerificationError(f"block {number}: the body is another block's")
        for entry, signed, header in zip(entries, body.entries, headers, strict=True):
            if transaction(signed, header, entry.receiver) != entry:
                raise VerificationError(f"block {number}: the body does not match transaction 0x{entry.gradient.hex()}")
        self._unreadable.discard(number)
        self._bodies[number] = body
        return {header.digest: header for header in headers}

    def _check_gradients(self, recorded: RecordedBlock) -> None:
        for signed in self._bodies.pop(recorded.block.header.number).entries:
            header = GradientHeader.decode(signed.header)
            self._verifier.check_header(header)
            self._verifier.check_signature(header, signed)

    def _check_global_gradient(self, content: Cid) -> None:
        spec = self._model.spec
        decode_blob(spec, self._blobs.get(content, blob_size(spec)))

    def _check_ledger(self) -> None:
        """The contract's own reads against the recomputed state."""
        with self._check("ledger: head, anchor, rewards and claims are those of the recomputed state"):
            head, (root, total) = self._ledger.head(), self._ledger.rewards()
            state = self._state
            if (head.hash, head.number, head.anchor, head.pending) != (
                state.head,
                state.number,
                state.anchor,
                len(state.pending),
            ):
                raise VerificationError(
                    f"the ledger's head is block {head.number}, recomputation ends at {state.number}"
                )
            if (root, total) != (state.rewards_root, state.rewards_total):
                raise VerificationError("the ledger's rewards are not those of its blocks")
            if self._ledger.token.supply() > total:
                raise VerificationError("more tokens were claimed than were ever recorded")


def audit(directory: RunDirectory, progress: Callable[[str], None] = lambda text: None) -> AuditReport:
    """Audits a run directory. Raises BFLMECError only if there is nothing to audit: damaged or missing files."""
    config = directory.config()
    with open_ledger(directory) as opened:
        return Audit(config, opened, progress).run()
