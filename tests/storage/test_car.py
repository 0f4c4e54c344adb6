"""CAR files carry blobs between stores and IPFS, and nothing hostile comes in with them."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cases import cases
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import StorageError
from bflmec.storage import DAG_PB, RAW, BlobStore, Cid, IpfsDaemon, MemoryStore, storages, unixfs
from bflmec.storage.car import decode_header, encode_header, export_car, import_car
from bflmec.storage.dagpb import varint

MIB = 1 << 20
BIG = os.urandom(3 * MIB + 5)

cids = st.builds(Cid, st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32))


def car_of(*blobs: bytes) -> tuple[bytes, list[Cid]]:
    store = MemoryStore()
    roots = [store.put(blob) for blob in blobs]
    file = io.BytesIO()
    export_car(store, roots, file)
    return file.getvalue(), roots


def section(*parts: bytes) -> bytes:
    return varint(sum(map(len, parts))) + b"".join(parts)


@pytest.mark.parametrize("blobs", [[b""], [b"one"], [BIG], [BIG, b"two", BIG[: 2 * MIB]]], ids=len)
def test_blobs_come_back(tmp_path: Path, blobs: list[bytes]) -> None:
    source, target = BlobStore(tmp_path / "source"), BlobStore(tmp_path / "target")
    roots = [source.put(blob) for blob in blobs]
    with (tmp_path / "blobs.car").open("wb") as out:
        exported = export_car(source, roots, out)
    with (tmp_path / "blobs.car").open("rb") as file:
        assert import_car(target, file) == exported
    assert [target.get(root, 4 * MIB) for root in roots] == blobs
    assert target.pins() == []


def test_blocks_that_blobs_share_are_written_once() -> None:
    data, _ = car_of(BIG, BIG + b"more")
    assert len(data) < 4 * MIB + 2000


def test_the_bytes_are_those_of_the_specification() -> None:
    root = Cid.of(RAW, b"blob")
    header = bytes.fromhex("a265726f6f747381d82a582500") + bytes(root) + bytes.fromhex("6776657273696f6e01")
    data, _ = car_of(b"blob")
    assert data == bytes([len(header)]) + header + bytes([40]) + bytes(root) + b"blob"


@cases(50)
@given(st.lists(cids, min_size=1, max_size=300))
def test_headers_round_trip(roots: list[Cid]) -> None:
    assert decode_header(encode_header(roots)) == tuple(roots)


@cases(100)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_canonical_header_or_refused(data: bytes) -> None:
    try:
        roots = decode_header(data)
    except StorageError:
        return
    assert encode_header(roots) == data


@cases(100)
@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    car, _ = car_of(b"one", b"two")
    at = data.draw(st.integers(0, len(car) - 1))
    changed = bytearray(car)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StorageError):
        import_car(MemoryStore(), io.BytesIO(changed))


@cases(100)
@given(st.data())
def test_a_file_cut_short_is_noticed(data: st.DataObject) -> None:
    car, _ = car_of(b"one", b"two")
    with pytest.raises(StorageError):
        import_car(MemoryStore(), io.BytesIO(car[: data.draw(st.integers(0, len(car) - 1))]))


@cases(100)
@given(st.binary(max_size=300))
def test_any_bytes_after_a_header_leave_only_right_blocks(tail: bytes) -> None:
    car, (root,) = car_of(b"one")
    store = MemoryStore()
    with contextlib.suppress(StorageError):
        import_car(store, io.BytesIO(car + tail))
    assert store.get(root, 10) == b"one"


ROOT = Cid.of(RAW, b"one")
HEAD = section(encode_header([ROOT]))
GOOD = section(bytes(ROOT), b"one")
NESTED = b"\x81" * 5000


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b"\x00", "0 bytes", id="a header of no bytes"),
        pytest.param(section(NESTED), "not the header", id="a deep header"),
        pytest.param(
            section(encode_header([ROOT]).replace(b"\x01", b"\x02", 1)), "not the header", id="a changed header"
        ),
        pytest.param(section(encode_header([ROOT])[:-1] + b"\x02"), "not the header", id="version 2"),
        pytest.param(HEAD, "lacks blocks", id="no blocks"),
        pytest.param(HEAD + section(bytes(ROOT), b"two"), "does not match", id="a wrong block"),
        pytest.param(HEAD + section(bytes(Cid.of(RAW, b"two")), b"two"), "lacks blocks", id="another block"),
        pytest.param(HEAD + section(b"\x12\x20" + ROOT.digest, b"one"), "not a CIDv1", id="a CIDv0"),
        pytest.param(HEAD + section(b"\x01\x71" + ROOT.multihash, b"one"), "codec", id="dag-cbor"),
        pytest.param(HEAD + section(b"x"), "not a CIDv1", id="a section too short for a CID"),
        pytest.param(HEAD + b"\xff" * 20, "varint", id="an endless length"),
        pytest.param(HEAD + b"\xff\xff\xff\xff\x7f", "accepted here", id="a huge block"),
        pytest.param(HEAD + b"\x80\x00", "varint", id="a padded length"),
        pytest.param(HEAD + GOOD + b"\x05", "middle", id="cut after a length"),
    ],
)
def test_hostile_files_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(StorageError, match=says):
        import_car(MemoryStore(), io.BytesIO(data))


def test_a_root_in_another_layout_is_refused() -> None:
    from bflmec.storage.dagpb import Link, encode_node

    leaf = Cid.of(RAW, b"one")
    node = encode_node((Link(leaf, 3, 3),))
    root = Cid.of(DAG_PB, node)
    data = section(encode_header([root])) + section(bytes(root), node) + section(bytes(leaf), b"one")
    with pytest.raises(StorageError, match="another way"):
        import_car(MemoryStore(), io.BytesIO(data))


def test_a_block_that_is_no_node_is_not_taken_for_one() -> None:
    named = Cid(DAG_PB, ROOT.digest)
    with pytest.raises(StorageError, match="canonical"):
        import_car(MemoryStore(), io.BytesIO(HEAD + section(bytes(named), b"one")))


def test_a_file_over_the_limit_is_refused() -> None:
    data, _ = car_of(BIG)
    with pytest.raises(StorageError, match="larger than is accepted"):
        import_car(MemoryStore(), io.BytesIO(data), limit=len(data) - 1)
    import_car(MemoryStore(), io.BytesIO(data), limit=len(data) + 1)


def test_an_incomplete_blob_is_not_exported() -> None:
    with pytest.raises(StorageError, match="not in memory"):
        export_car(MemoryStore(), [ROOT], io.BytesIO())


def test_no_roots_are_refused() -> None:
    with pytest.raises(StorageError, match="roots"):
        export_car(MemoryStore(), [], io.BytesIO())


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """96 MiB go out and in again within 64 MiB of address space beyond what is in use before."""
    source = BlobStore(tmp_path / "source")
    root = source.put(os.urandom(96 * MIB))
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from bflmec.storage import BlobStore, Cid\n"
        "from bflmec.storage.car import export_car, import_car\n"
        "folder, root = Path(sys.argv[1]), Cid.parse(sys.argv[2])\n"
        "source, target = BlobStore(folder / 'source'), BlobStore(folder / 'target')\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)\n"
        "with (folder / 'blob.car').open('wb') as out: export_car(source, [root], out)\n"
        "with (folder / 'blob.car').open('rb') as file: print(import_car(target, file).blocks)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path), str(root)], capture_output=True, text=True)
    assert done.stdout == "97\n", done.stderr


@pytest.mark.toolchain
def test_a_real_ipfs_implementation_reads_our_car_and_we_read_its(js_ipfs: str) -> None:
    car, (root,) = car_of(BIG)
    daemon = storages.get("ipfs")(js_ipfs)
    assert isinstance(daemon, IpfsDaemon)
    assert not daemon.has(root)
    httpx.post(f"{js_ipfs}/api/v0/dag/import", files={"file": car}).raise_for_status()
    assert daemon.get(root, 4 * MIB) == BIG

    # Read by hand: this API ends its answer with a trailer that httpx's parser refuses.
    target = urlsplit(js_ipfs)
    connection = http.client.HTTPConnection(target.hostname or "", target.port)
    connection.request("POST", f"/api/v0/dag/export?arg={root}")
    theirs = connection.getresponse().read()
    connection.close()
    store = MemoryStore()
    import_car(store, io.BytesIO(theirs))
    assert store.get(root, 4 * MIB) == BIG

    file = io.BytesIO()
    export_car(daemon, [root], file)
    import_car(MemoryStore(), io.BytesIO(file.getvalue()))
    daemon.unpin(root)
    assert unixfs.cid_of(BIG) == root
