"""Hostile requests against a running edge node, from its own OpenAPI description and from mutated messages.

    python benchmarks/hostile_http.py
    python benchmarks/hostile_http.py --cases 100000
    python benchmarks/hostile_http.py --url http://127.0.0.1:8600 --cases 1000

Up to half of the cases come from schemathesis, the others are valid uploads, handshakes and messages with bytes
flipped, cut out, doubled or replaced, outside or inside of their encryption. Every answer has to be one of the API's (a
status that the description names; problem+json when it refuses) and never 500. At the end the edge node has to be
healthy, with its ledger and its cache pool as they were before.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import httpx
import schemathesis
from edge_network import SCHEME, Network, network
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from bflmec.crypto.encapsulation import encapsulate
from bflmec.transport.binding import Binding, Purpose
from bflmec.transport.edge_api import EdgeApi
from bflmec.transport.handshake import Initiation, encode_opening
from bflmec.transport.sealing import seal

PATHS = ("/v1/gradients", "/v1/peers/sessions", "/v1/peers/messages")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000, help="requests to send (default 2000)")
    parser.add_argument("--url", help="an edge node that runs; without it one is started")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = nullcontext() if args.url else network(Path(folder), 1, 2, "data.dataset=digits")
        with started as made:
            url = args.url or made.edge_nodes[0].url
            before = memory(made)
            attack(url, made, args.cases, random.Random(args.seed))
            print(f"memory {before:.0f} MB before, {memory(made):.0f} MB after")


def memory(made: Network | None) -> float:
    return 0.0 if made is None else made.edge_nodes[0].resident_bytes() / 2**20


def attack(url: str, made: Network | None, cases: int, rng: random.Random) -> None:
    with EdgeApi(url) as api:
        state = api.status()
    began = time.perf_counter()
    statuses = Counter[int]()
    with httpx.Client(base_url=url, verify=False, timeout=30) as http:
        described(url, http, cases // 2, statuses)
        mutated(http, originals(url, made), cases - sum(statuses.values()), rng, statuses)
        health = http.get("/health").status_code
    with EdgeApi(url) as api:
        after = api.status()
    changed = [name for name in ("head", "anchor", "pending", "recorded", "pool") if state[name] != after[name]]
    print(f"{sum(statuses.values())} requests in {time.perf_counter() - began:.0f} s: {dict(sorted(statuses.items()))}")
    if health != 200 or changed or statuses[500]:
        raise SystemExit(f"health {health}, changed {changed}, {statuses[500]} times 500")


def described(url: str, http: httpx.Client, cases: int, statuses: Counter[int]) -> None:
    """What the description allows, and what it doesn't."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json").exclude(path="/v1/events")
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=max(cases // len(operations), 1),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: schemathesis.Case) -> None:
            answer = case.call_and_validate(excluded_checks=[positive_data_acceptance])
            statuses[answer.status_code] += 1

        check()


Message = tuple[str, bytes, Callable[[bytes], bytes]]
"""Where it goes, the bytes to mutate, and what is done with them then."""


def originals(url: str, made: Network | None) -> list[Message]:
    """Messages as they should be, but for a signature that nobody registered or an anchor that doesn't exist."""
    with EdgeApi(url) as api:
        info = api.node()
    key, ledger = bytes.fromhex(info.encapsulation_key[2:]), bytes.fromhex(info.ledger[2:])
    upload = Binding(info.chain_id, ledger, info.edge_node, Purpose.UPLOAD)
    session = Binding(info.chain_id, ledger, info.edge_node, Purpose.SESSION)
    stranger = SCHEME.from_seed(bytes(32))
    opening = Initiation(2, stranger, session, key, info.challenge_bytes).opening
    envelope = bytes(1000) if made is None else made.uploaders[0].envelope(made, 0, bytes(32))
    handshake = encode_opening(opening)
    message = b"\x93\xc4\x10" + bytes(16) + b"\x01\xc4\x20" + bytes(32)
    return [
        (PATHS[0], seal(envelope, key, upload), bytes),
        (PATHS[0], envelope, lambda data: seal(data, key, upload)),
        (PATHS[1], handshake, bytes),
        (PATHS[2], message, bytes),
        (PATHS[2], encapsulate(key).ciphertext, bytes),
    ]


def mutated(
    http: httpx.Client, messages: list[Message], cases: int, rng: random.Random, statuses: Counter[int]
) -> None:
    for _ in range(cases):
        path, data, wrap = rng.choice(messages)
        body = wrap(mutation(bytearray(data), rng))
        answer = http.post(path if rng.random() < 0.9 else rng.choice(PATHS), content=body)
        statuses[answer.status_code] += 1
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        if answer.status_code not in (400, 403, 404, 409, 413, 422, 429, 503) or not is_problem:
            raise SystemExit(f"{path} answers {answer.status_code} {answer.text[:200]} to {body[:200].hex()}")


def mutation(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        start, length = rng.randrange(len(data) + 1), rng.randint(1, 64)
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[min(start, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[start : start + length]
        elif kind == 2:
            data[start:start] = data[start : start + length]
        elif kind == 3:
            data[start : start + length] = rng.randbytes(length)
        else:
            data[start:start] = rng.randbytes(length)
    return bytes(data)


if __name__ == "__main__":
    main()
