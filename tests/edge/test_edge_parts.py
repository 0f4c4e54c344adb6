"""The small parts of an edge node's service, each by itself."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.crypto.seal import seal_holds
from bflmec.edge import outbox as outbox_module
from bflmec.edge.directory import EdgeDirectory
from bflmec.edge.events import MAX_LISTENERS, MAX_WAITING, Events
from bflmec.edge.logs import JsonLines
from bflmec.edge.miner import Miner
from bflmec.edge.news import News
from bflmec.edge.outbox import Outbox
from bflmec.edge.rate import TokenBucket
from bflmec.edge.recorded_index import RecordedIndex
from bflmec.edge.settings import Settings, read_settings
from bflmec.errors import ConfigError, EdgeBusyError, KeystoreError
from bflmec.protocol.blocks import ZERO_DIGEST, Header, Reward, SealedBlock, Transaction
from bflmec.protocol.messages import Announcement

# ---------------------------------------------------------------- outbox


def announcement(size: int) -> Announcement:
    return Announcement(1, bytes(size))


@given(st.lists(st.one_of(st.integers(1, 400), st.none()), max_size=60))
def test_an_outbox_never_holds_more_than_its_limit_and_says_when_it_dropped(steps: list[int | None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox_module, "LIMIT", 1000)
        patch.setattr(outbox_module, "BATCH_BYTES", 300)
        outbox = Outbox()
        outbox.is_behind = False
        put, taken = 0, 0
        for size in steps:
            if size is None:
                batch = outbox.take()
                taken += len(batch)
                assert len(batch) <= 1 or sum(len(one.envelope) for one in batch) <= 300
            else:
                outbox.put(announcement(size))
                put += 1
            assert sum(len(one.envelope) for one in outbox._waiting) == outbox._size <= 1000
        assert outbox.is_behind or len(outbox) == put - taken


def test_a_batch_takes_one_announcement_however_large() -> None:
    outbox = Outbox()
    outbox.put(announcement(outbox_module.BATCH_BYTES + 1))
    outbox.put(announcement(1))
    assert [len(one.envelope) for one in outbox.take()] == [outbox_module.BATCH_BYTES + 1]


# ---------------------------------------------------------------- rates, news, events


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_a_bucket_never_gives_more_than_its_rate(pauses: list[float]) -> None:
    bucket, now, given_out = TokenBucket(2.0, 5.0), 0.0, 0
    for pause in pauses:
        now += pause
        given_out += bucket.take(now)
        assert given_out <= 5 + 2 * now + 1e-6


def test_a_clock_that_jumps_back_gives_nothing() -> None:
    bucket = TokenBucket(1.0, 1.0)
    assert bucket.take(1000.0)
    assert not bucket.take(0.0)
    assert not bucket.take(0.5)
    assert bucket.take(1.1)


def test_news_are_never_missed_between_looking_and_waiting() -> None:
    async def scenario() -> None:
        news = News()
        seen = news.count
        news.tell()
        assert await news.after(seen)
        assert not await news.after(news.count, 0.01)
        waiting = [asyncio.create_task(news.after(news.count)) for _ in range(3)]
        await asyncio.sleep(0)
        news.tell()
        assert all(await asyncio.gather(*waiting))

    asyncio.run(scenario())


def test_a_slow_listener_misses_events_and_holds_nobody_up() -> None:
    async def scenario() -> None:
        events = Events()
        stream = events.listen()
        assert await anext(stream) == b": listening\n\n"
        for number in range(MAX_WAITING + 10):
            events.tell("block", number=number)
        assert b'{"number": 10}' in await anext(stream)
        events.end()
        assert [event async for event in stream][-1].endswith(f'{{"number": {MAX_WAITING + 9}}}\n\n'.encode())
        with pytest.raises(EdgeBusyError):
            events.listen()

    asyncio.run(scenario())


def test_listeners_are_bounded_and_forgotten() -> None:
    async def scenario() -> None:
        events = Events()
        streams = [events.listen() for _ in range(MAX_LISTENERS)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(EdgeBusyError):
            events.listen()
        await streams[0].aclose()  # type: ignore[attr-defined]  # a generator, as long as it is one
        events.listen()

    asyncio.run(scenario())


# ---------------------------------------------------------------- fates of local gradients


def block(number: int, digests: list[int], paid: list[int] | None = None) -> SealedBlock:
    """A block of local gradients, client i having sent number i; `paid` if it carries a global update."""
    transactions = tuple(Transaction(bytes([i]) * 20, 1, bytes([i]) * 32, bytes(32)) for i in digests)
    rewards = tuple(Reward(bytes([i]) * 20, 1) for i in paid or ())
    global_digest = ZERO_DIGEST if paid is None else b"\x01" * 32
    header = Header(
        bytes(32), number, 0, bytes(20), bytes(32), len(digests), bytes(32), global_digest, 0x55, bytes(32), 0
    )
    return SealedBlock(header, 0, transactions, rewards)


def test_a_local_gradient_is_recorded_then_aggregated_then_taken_back() -> None:
    index = RecordedIndex([])
    first, second = block(1, [1, 2]), block(2, [3], paid=[1, 3])
    index.add(first)
    assert (index[b"\x01" * 32].block, index[b"\x01" * 32].anchor) == (1, None)
    index.add(second)
    assert [index[bytes([i]) * 32].is_high for i in (1, 2, 3)] == [True, False, True]
    index.remove(second)
    assert index[b"\x01" * 32].anchor is None
    with pytest.raises(KeyError):
        index[b"\x03" * 32]
    index.add(second)
    assert index[b"\x02" * 32].anchor == 2


# ---------------------------------------------------------------- nonce search


def test_the_nonce_search_finds_and_can_be_stopped_and_outlives_its_process() -> None:
    async def scenario() -> None:
        miner = Miner()
        try:
            assert seal_holds(b"\x01" * 32, await miner.find(b"\x01" * 32, 500), 500)
            hopeless = asyncio.create_task(miner.find(b"\x02" * 32, 2**200))
            await asyncio.sleep(0.05)
            hopeless.cancel()
            assert seal_holds(b"\x03" * 32, await miner.find(b"\x03" * 32, 500), 500)
            assert miner._process is not None
            miner._process.kill()
            await miner._process.wait()
            assert seal_holds(b"\x04" * 32, await miner.find(b"\x04" * 32, 500), 500)
        finally:
            await miner.stop()

    asyncio.run(scenario())


# ---------------------------------------------------------------- directory, settings, logs


def test_keys_are_made_once_readable_by_their_owner_and_open_again(tmp_path: Path) -> None:
    made = EdgeDirectory.create(tmp_path / "edge", scheme="ML-DSA-65", password=None)
    keys = made.keys()
    assert keys.scheme == "ML-DSA-65"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "edge").iterdir())
    assert EdgeDirectory(tmp_path / "edge").keys().encapsulation_digest == keys.encapsulation_digest
    assert keys.account_key.hex() not in repr(keys)
    with pytest.raises(KeystoreError, match="never overwritten"):
        EdgeDirectory.create(tmp_path / "edge", scheme="ML-DSA-65", password=None)


def test_key_files_that_are_mixed_up_are_refused(tmp_path: Path) -> None:
    made = EdgeDirectory.create(tmp_path, scheme="ML-DSA-44", password=None)
    os.rename(tmp_path / "signature.json", tmp_path / "swap")
    os.rename(tmp_path / "encapsulation.json", tmp_path / "signature.json")
    os.rename(tmp_path / "swap", tmp_path / "encapsulation.json")
    with pytest.raises(KeystoreError, match="mixed up"):
        made.keys()


def test_what_init_writes_can_be_read(tmp_path: Path) -> None:
    made = EdgeDirectory.create(tmp_path, scheme="ML-DSA-44", password=b"secret", host="0.0.0.0", port=1234)
    assert (made.settings().host, made.settings().port) == ("0.0.0.0", 1234)
    assert not (tmp_path / "password").exists()


@pytest.mark.parametrize(
    "text", ["prot = 1", "port = 70000", "port = '1'", 'tls_key = "a"', "port =", "pool_limit = 0", "[a]\nb = 1"]
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "edge.toml").write_text(text)
    with pytest.raises(ConfigError):
        read_settings(tmp_path / "edge.toml")


def test_the_page_names_every_setting_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/run-an-edge-node.md").read_text("utf-8")
    for field in msgspec.structs.fields(Settings):
        assert f"`{field.name}`" in page


def test_a_log_line_is_one_json_object() -> None:
    record = logging.LogRecord("bflmec.edge", logging.WARNING, "", 0, "block %d\nof %s", (7, "x"), None)
    document = json.loads(line := JsonLines().format(record))
    assert "\n" not in line
    assert (document["level"], document["message"]) == ("warning", "block 7\nof x")
