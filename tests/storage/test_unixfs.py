"""Content ids are those of IPFS, and only the canonical DAG of a blob is readable."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import StorageError
from bflmec.storage import DAG_PB, RAW, Cid, unixfs
from bflmec.storage.dagpb import Link, decode_node, encode_node

MIB = 1 << 20
HUGE = 1 << 62


def counting(size: int) -> bytes:
    """Byte i is i mod 251."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


# The ids were made with the JavaScript importer of the IPFS project (ipfs-unixfs-importer: raw leaves, chunks of 1 MiB,
# balanced layout with 1024 links), which gives the same as Kubo with the profile unixfs-v1-2025.
GOLDEN = {
    0: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    1: "bafkreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu",
    MIB - 1: "bafkreielkxdkfu2eicjkgfuykayoada6n6dar2xzclejnxxhyn2niqhnce",
    MIB: "bafkreidddocae7lltzjlkooe5a3tmiwsgazn7logjvqk7bzttsidpzhxne",
    MIB + 1: "bafybeidjogjfwuhbzwopgd4bn3skcf5m6oz72xshywcndzxgqb623nfclu",
    2 * MIB: "bafybeihakzyqh6ih4iwgqily25hqovthaujdkbcfybornyhhbpoa63jwri",
    5 * MIB + 7: "bafybeihy7bim22kxffmtbte3avvzbwyyyjidvhaebjckpy4xkkxtuwdwga",
    50 * MIB: "bafybeigchohdok35kacsoox7yh5krcg222y7bq6jgkx5ywbw7mjpbhxahy",
}
# The same with chunks of 4 bytes and 3 links a node: deep trees of few bytes.
GOLDEN_DEEP = {
    4: "bafkreiafj3pmdubbd5re73imxsu5j6kabmheshcdoqvpfrnqvpv7bsmq3a",
    5: "bafybeidoaxjtfzmllhcway5ubogf3onacj5hcjxkps6ltqkicxj5degtta",
    12: "bafybeiescpchc5ia7pu7ztozfeiu6k4yith5dbt3r43xshnyudv7krmtae",
    13: "bafybeigioqx7mhmr5omwrkizhlha6jprh2gzlqmazplk4cj2ezmbx6lhei",
    36: "bafybeiazbw7qde46yxbdyyv4rzu3cbrk2cf7f3h7vtbpbzhooueqfws6ti",
    37: "bafybeidiwnloirt3sptf4j5vz6iif5pod6yee4z23t57sftychzrp2n4ge",
    40: "bafybeihetbzrlrafem3soqmvfd4konslub4z3fs7pbfuqcg3iyxken6yd4",
    108: "bafybeifkinfsm2fujjoekag7yheqoh2modzg4md4d3wlotmykqz3giqbay",
    109: "bafybeihqjgih5vr3po3xckv2yf67fsl7qf6mgclby5ik7to5zm6knpzbli",
    1000: "bafybeigyscl3gpnr6flcilmrzpipwlidpnlkljpanmsj4g5f2pvjzltluy",
}


@pytest.fixture
def deep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unixfs, "CHUNK_SIZE", 4)
    monkeypatch.setattr(unixfs, "MAX_LINKS", 3)


@pytest.fixture(scope="module")
def shallow() -> Iterator[None]:
    """Small chunks for property tests: one patch for all examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unixfs, "CHUNK_SIZE", 4)
        patch.setattr(unixfs, "MAX_LINKS", 3)
        yield


class Blocks(dict[Cid, bytes]):
    """A bag of blocks that counts what is fetched from it."""

    fetched = 0

    def fetch(self, cid: Cid) -> bytes:
        self.fetched += 1
        if cid not in self:
            raise StorageError(f"{cid} is missing")
        return self[cid]

    def add(self, block: bytes, codec: int = DAG_PB) -> Cid:
        cid = Cid.of(codec, block)
        self[cid] = block
        return cid

    def store(self, data: bytes) -> Cid:
        for cid, block in unixfs.encode(data):
            self[cid] = bytes(block)
        return cid


@pytest.mark.parametrize("size", GOLDEN)
def test_content_ids_are_those_of_kubos_profile(size: int) -> None:
    assert str(unixfs.cid_of(counting(size))) == GOLDEN[size]


@pytest.mark.parametrize(
    ("size", "cid"),
    [
        (1024 * MIB, "bafybeibqawkaltgjfdebq4no6nmfcvkcw7k52xqzclkwfmrkn6oxw7srmy"),
        (1024 * MIB + 1, "bafybeigx4uyebjbq65346xh6cjrt6yshbdudzudhnqecwbzvymslxj7gje"),
    ],
)
def test_content_ids_of_zeros_beyond_one_node(size: int, cid: str) -> None:
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as zeros, memoryview(zeros) as view:
        assert str(unixfs.cid_of(view)) == cid


def test_well_known_content_id() -> None:
    cid = unixfs.cid_of(b"hello world")
    assert cid.digest.hex() == "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    assert str(cid) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@pytest.mark.usefixtures("deep")
@pytest.mark.parametrize("size", GOLDEN_DEEP)
def test_content_ids_of_deep_trees(size: int) -> None:
    assert str(unixfs.cid_of(counting(size))) == GOLDEN_DEEP[size]


@pytest.mark.usefixtures("shallow")
@given(data=st.binary(max_size=400))
def test_what_is_encoded_reads_back(data: bytes) -> None:
    blocks = Blocks()
    root = blocks.store(data)
    assert unixfs.read(root, blocks.fetch, limit=len(data)) == data
    assert set(unixfs.blocks(root, blocks.fetch)) == set(blocks)


@pytest.mark.usefixtures("shallow")
@given(data=st.binary(min_size=1, max_size=400))
def test_a_blob_over_the_limit_is_refused_before_its_leaves_are_fetched(data: bytes) -> None:
    blocks = Blocks()
    root = blocks.store(data)
    with pytest.raises(StorageError, match="at most"):
        unixfs.read(root, blocks.fetch, limit=len(data) - 1)
    assert blocks.fetched == 1


@pytest.mark.usefixtures("shallow")
@given(data=st.binary(min_size=1, max_size=400), pick=st.randoms(use_true_random=False))
def test_a_missing_block_is_an_error(data: bytes, pick: object) -> None:
    blocks = Blocks()
    root = blocks.store(data)
    del blocks[pick.choice(sorted(blocks))]  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match="missing"):
        unixfs.read(root, blocks.fetch, limit=400)


def leaf(blocks: Blocks, data: bytes) -> Link:
    return Link(blocks.add(data, RAW), len(data), len(data))


def node(blocks: Blocks, *links: Link) -> Link:
    block = encode_node(links)
    size, total = sum(link.size for link in links), len(block) + sum(link.total for link in links)
    return Link(blocks.add(block), size, total)


def assert_refused(blocks: Blocks, root: Link) -> None:
    with pytest.raises(StorageError, match=r"profile|one raw block|parent says|canonical"):
        unixfs.read(root.cid, blocks.fetch, limit=HUGE)


@pytest.mark.usefixtures("deep")
def test_another_layout_of_the_same_bytes_is_refused() -> None:
    blocks = Blocks()
    one, two, three = leaf(blocks, b"0123"), leaf(blocks, b"4567"), leaf(blocks, b"89")
    assert unixfs.read(node(blocks, one, two, three).cid, blocks.fetch, limit=HUGE) == b"0123456789"
    assert_refused(blocks, node(blocks, one, two, leaf(blocks, b"8"), leaf(blocks, b"9")))
    assert_refused(blocks, node(blocks, node(blocks, one, two), three))
    assert_refused(blocks, node(blocks, node(blocks, one, two, three)))
    assert_refused(blocks, node(blocks, leaf(blocks, b"01"), leaf(blocks, b"2345"), leaf(blocks, b"6789")))
    assert_refused(blocks, node(blocks, one))


@pytest.mark.usefixtures("deep")
def test_sizes_that_contradict_the_blocks_are_refused() -> None:
    blocks = Blocks()
    one, two = leaf(blocks, b"0123"), leaf(blocks, b"45")
    assert_refused(blocks, node(blocks, one, Link(two.cid, 3, 3)))
    assert_refused(blocks, node(blocks, one, Link(two.cid, two.size, two.total + 1)))
    assert_refused(blocks, node(blocks, one, Link(Cid(DAG_PB, two.cid.digest), two.size, two.total)))
    inner = node(blocks, one, one, one)
    assert_refused(blocks, node(blocks, inner, Link(inner.cid, inner.size, inner.total - 1)))


@pytest.mark.usefixtures("deep")
def test_a_dag_that_repeats_itself_is_listed_in_bounded_time() -> None:
    """3^30 leaves hang below 30 nodes."""
    blocks = Blocks()
    top = leaf(blocks, b"0123")
    for _ in range(30):
        top = node(blocks, top, top, top)
    assert len(list(unixfs.blocks(top.cid, blocks.fetch))) == 31
    assert blocks.fetched < 100


@given(
    st.lists(
        st.builds(
            Link,
            st.builds(Cid, st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32)),
            st.integers(0, 2**60),
            st.integers(0, 2**60),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_nodes_round_trip(links: list[Link]) -> None:
    block = encode_node(tuple(links))
    assert decode_node(Cid.of(DAG_PB, block), block) == tuple(links)


NODE = encode_node((Link(Cid.of(RAW, b"a"), 300, 300), Link(Cid.of(RAW, b"b"), 2, 2)))


@given(st.one_of(st.binary(max_size=200), st.integers(0, len(NODE) - 1).map(lambda end: NODE[:end])))
def test_bytes_that_are_no_node_are_refused(block: bytes) -> None:
    with pytest.raises(StorageError, match="canonical"):
        decode_node(Cid.of(DAG_PB, block), block)


@given(at=st.integers(0, len(NODE) - 1), byte=st.integers(0, 255))
def test_a_changed_node_is_refused_or_means_something_else(at: int, byte: int) -> None:
    changed = NODE[:at] + bytes([byte]) + NODE[at + 1 :]
    try:
        links = decode_node(Cid.of(DAG_PB, changed), changed)
    except StorageError:
        return
    assert encode_node(links) == changed


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(NODE + b"\x20\x00", id="trailing field"),
        pytest.param(b"\xff" * unixfs.MAX_BLOCK_SIZE, id="endless integer"),
        pytest.param(b"\x12" + b"\xff" * unixfs.MAX_BLOCK_SIZE, id="endless length"),
        pytest.param(NODE.replace(b"\x12\x00\x18\x02", b"\x12\x00\x18\x82\x00"), id="integer with leading zeros"),
        pytest.param(encode_node(()), id="no children"),
    ],
)
def test_nodes_that_are_not_canonical_are_refused(block: bytes) -> None:
    with pytest.raises(StorageError, match="canonical"):
        decode_node(Cid.of(DAG_PB, block), block)
