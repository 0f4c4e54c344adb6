"""`bflmec storage`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

if TYPE_CHECKING:
    from bflmec.storage import BlobStorage, Cid

DEFAULT_LIMIT = 1 << 30

storage = typer.Typer(
    no_args_is_help=True,
    help="""Look into a storage of blobs, and move blobs between storages and IPFS.

    A storage is a folder, such as a run directory's, or an IPFS daemon: http://127.0.0.1:5001, unix:///path/to/socket,
    /ip4/127.0.0.1/tcp/5001. A daemon's secret is in the file that BFLMEC_IPFS_AUTH_FILE names.

    Examples:  bflmec storage list --store runs/mine/blobs      bflmec storage gc --store http://127.0.0.1:5001
    """,
)

Store = Annotated[
    str,
    typer.Option("--store", "-s", metavar="LOCATION", help="Folder, or address of an IPFS daemon.", show_default=False),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="NAME",
        help="embedded, ipfs, ipfs-http-client, or a plug-in; default: either of the first two.",
    ),
]
Cids = Annotated[list[str], typer.Argument(metavar="CID…", help="Content ids of blobs.")]
Limit = Annotated[int, typer.Option("--limit", min=0, metavar="BYTES", help="Refuse more than this.")]


@storage.command("list")
def list_(store: Store, name: Name = None) -> None:
    """The content ids of all pinned blobs.

    Example:  bflmec storage list --store runs/mine/blobs
    """
    for cid in _open(store, name).pins():
        typer.echo(cid)


@storage.command()
def put(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Files to store.")],
    store: Store,
    name: Name = None,
) -> None:
    """Store files, pin them, and print their content ids, which are those that `ipfs add` gives.

    Example:  bflmec storage put model.safetensors --store blobs
    """
    target = _open(store, name, create=True)
    for file in files:
        with _reading(file) as opened:
            cid = target.put(opened.read())
        target.pin(cid)
        typer.echo(f"{cid}  {file}")


@storage.command()
def get(
    cid: Annotated[str, typer.Argument(metavar="CID", help="Content id of the blob.")],
    store: Store,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File to write.")],
    name: Name = None,
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """Write a blob to a file, every block of it checked against its digest.

    Example:  bflmec storage get bafk… --store http://127.0.0.1:5001 --out model.safetensors
    """
    (wanted,) = _parse([cid])
    blob = _open(store, name).get(wanted, limit)
    with _writing(out) as file:
        file.write(blob)
    typer.echo(f"{len(blob):,} bytes in {out}")


@storage.command()
def pin(cids: Cids, store: Store, name: Name = None) -> None:
    """Keep blobs over garbage collections.

    Example:  bflmec storage pin bafk… --store blobs
    """
    opened = _open(store, name)
    for cid in _parse(cids):
        opened.pin(cid)


@storage.command()
def unpin(cids: Cids, store: Store, name: Name = None) -> None:
    """Let garbage collections remove blobs.

    Example:  bflmec storage unpin bafk… --store blobs
    """
    opened = _open(store, name)
    for cid in _parse(cids):
        opened.unpin(cid)


@storage.command()
def gc(store: Store, name: Name = None) -> None:
    """Remove every block that no pinned blob needs; from a daemon other people's, too.

    Example:  bflmec storage gc --store blobs
    """
    collected = _open(store, name).gc()
    typer.echo(f"removed {collected.blocks:,} blocks, {collected.size:,} bytes")


@storage.command()
def export(
    cids: Cids,
    store: Store,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="CAR file to write.")],
    name: Name = None,
) -> None:
    """Write blobs to a CAR file, which `ipfs dag import` reads.

    Example:  bflmec storage export bafk… --store blobs --out blobs.car
    """
    from bflmec.errors import StorageError
    from bflmec.storage import BlockSource
    from bflmec.storage.car import export_car

    source, roots = _open(store, name), _parse(cids)
    if not isinstance(source, BlockSource):
        raise StorageError("this storage gives no single blocks; get the blobs and put them into a folder first")
    with _writing(out) as file:
        exported = export_car(source, roots, file)
    typer.echo(f"{len(exported.roots):,} blobs in {exported.blocks:,} blocks of {exported.size:,} bytes in {out}")


@storage.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CAR file, such as `ipfs dag export` writes.")],
    store: Store,
    name: Name = None,
    limit: Limit = 1 << 34,
) -> None:
    """Read the blobs of a CAR file, check every block, and pin them.

    Example:  bflmec storage import blobs.car --store blobs
    """
    from bflmec.errors import StorageError
    from bflmec.storage import BlockSink
    from bflmec.storage.car import import_car

    sink = _open(store, name, create=True)
    if not isinstance(sink, BlockSink):
        raise StorageError(f"a daemon reads CAR files by itself: ipfs dag import {file}")
    with _reading(file) as opened:
        imported = import_car(sink, opened, limit)
    for root in imported.roots:
        sink.pin(root)
        typer.echo(root)


def _open(location: str, name: str | None, *, create: bool = False) -> BlobStorage:
    from bflmec.errors import StorageError
    from bflmec.storage import open_storage
    from bflmec.storage.ipfs_address import is_daemon_address

    is_folder = name in (None, "embedded") and not is_daemon_address(location)
    if is_folder and not create and not (Path(location) / "blocks").is_dir():
        raise StorageError(f"there is no storage in {location}; that of a run is in its folder blobs")
    return open_storage(location, name)


def _parse(texts: list[str]) -> list[Cid]:
    from bflmec.storage import Cid

    return [Cid.parse(text) for text in texts]


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    from bflmec.errors import StorageError

    try:
        file = path.open("rb")
    except OSError as error:
        raise StorageError(f"can't read {path}: {error.strerror}") from error
    with file:
        yield file


@contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is complete."""
    from bflmec.storage.flatfs import reported

    partial = path.with_name(f".{path.name}.partial")
    with reported(f"can't write {path}"):
        try:
            with partial.open("wb") as file:
                yield file
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
