"""`bflmec keys`"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bflmec.errors import KeystoreError, SignatureError

if TYPE_CHECKING:
    from bflmec.crypto.keystore import StoredKey

ACCOUNT = "account"

keys = typer.Typer(
    no_args_is_help=True,
    help="""Make and use key files.

    A client and an edge node have two keys each: one that signs (ML-DSA, safe from quantum computers), and that of a
    ledger account, which pays for transactions. Each is a file in the format of Ethereum wallets, locked by a password.

    Examples:  bflmec keys new client.json      bflmec keys new account.json --scheme account
    """,
)

KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="Key file.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", "-p", metavar="FILE", help="Take the password from this file instead of asking."),
]


@keys.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Key file to create; never overwritten.")],
    scheme: Annotated[
        str, typer.Option("--scheme", "-s", help="ML-DSA-44, ML-DSA-65, ML-DSA-87, or account for a ledger account.")
    ] = "ML-DSA-44",
    password_file: PasswordFile = None,
    light: Annotated[
        bool, typer.Option("--light", help="Quick to open, and to guess: for keys that are worth little.")
    ] = False,
) -> None:
    """Create a key from the operating system's randomness. Only its owner may read the file (mode 0600).

    Without the password the key is lost, and nobody can restore it: keep a copy of both.

    Examples:  bflmec keys new client.json      bflmec keys new edge.json -s ML-DSA-65 -p password.txt
    """
    from bflmec.crypto.keystore import LIGHT_WORK, STANDARD_WORK, write_key

    key = _new_key(scheme)
    if os.path.lexists(file):
        raise KeystoreError(f"{file} exists; keys are never overwritten, choose another name")
    password = _read_or_ask(password_file, f"Password for {file}", confirm=True)
    write_key(file, key, password, LIGHT_WORK if light else STANDARD_WORK)
    typer.echo(f"created     {file}")
    _describe(key.scheme, key.public_id())


@keys.command()
def show(file: KeyFile) -> None:
    """Show what a key file says about its key, without the password. `check` proves it.

    Example:  bflmec keys show client.json
    """
    from bflmec.crypto.keystore import describe_key

    info = describe_key(file)
    _describe(info.scheme, info.public_id)


@keys.command()
def check(file: KeyFile, password_file: PasswordFile = None) -> None:
    """Open a key file, to see that the password is right and the file holds the key that it says. Shows no secret.

    Example:  bflmec keys check client.json --password-file password.txt
    """
    key = open_key(file, password_file)
    _describe(key.scheme, key.public_id())
    typer.echo("opens       yes")


@keys.command()
def sign(
    file: KeyFile,
    document: Annotated[Path, typer.Argument(metavar="DOCUMENT", help="File to sign.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Signature file; default: DOCUMENT.sig.")
    ] = None,
    password_file: PasswordFile = None,
) -> None:
    """Sign a file with an ML-DSA key, such as the request to be admitted as an edge node.

    Example:  bflmec keys sign edge.json request.txt
    """
    from bflmec.crypto.documents import sign_document
    from bflmec.files import write_atomically

    signature = sign_document(document, open_key(file, password_file))
    path = out or document.with_name(document.name + ".sig")
    try:
        write_atomically(path, signature.encode())
    except OSError as error:
        raise SignatureError(f"can't write {path}: {error.strerror}") from error
    typer.echo(f"signature   {path}")
    _describe(signature.scheme, signature.signer)


@keys.command()
def verify(
    document: Annotated[Path, typer.Argument(metavar="DOCUMENT", help="Signed file.")],
    signature_file: Annotated[
        Path | None, typer.Argument(metavar="SIGNATURE", help="Signature file; default: DOCUMENT.sig.")
    ] = None,
    signer: Annotated[
        str | None, typer.Option("--signer", metavar="DIGEST", help="Public key digest that must have signed.")
    ] = None,
) -> None:
    """Check a signature over a file, and show whose it is.

    Without --signer anybody's signature will do: compare the digest with the one that the ledger registers.

    Example:  bflmec keys verify request.txt --signer 0x2f0c...
    """
    from bflmec.crypto.documents import DocumentSignature, check_document

    signature = DocumentSignature.read(signature_file or document.with_name(document.name + ".sig"))
    check_document(document, signature)
    if signer is not None and signer.removeprefix("0x").lower() != signature.signer:
        raise SignatureError(f"the signature holds, but it is that of 0x{signature.signer}")
    _describe(signature.scheme, signature.signer)
    typer.echo("holds       yes")


def _new_key(scheme: str) -> StoredKey:
    from bflmec.crypto.keys import new_identity
    from bflmec.crypto.keystore import ACCOUNT_SCHEME, StoredKey
    from bflmec.crypto.schemes import signature_scheme

    identity = new_identity()
    if scheme in (ACCOUNT, ACCOUNT_SCHEME):
        return StoredKey(ACCOUNT_SCHEME, identity.account_key)
    return StoredKey(signature_scheme(scheme).name, identity.seed)


def open_key(file: Path, password_file: Path | None) -> StoredKey:
    """The key of a file, its password asked for if no file holds it. Raises KeystoreError."""
    from bflmec.crypto.keystore import describe_key, read_key

    describe_key(file)  # a missing or damaged file is told before anybody types a password
    return read_key(file, _read_or_ask(password_file, f"Password of {file}", confirm=False))


def _read_or_ask(password_file: Path | None, question: str, *, confirm: bool) -> bytes:
    from bflmec.crypto.keystore import read_password

    if password_file is not None:
        return read_password(password_file)
    if not sys.stdin.isatty():
        raise KeystoreError("there is no terminal to ask for the password; give --password-file")
    password: str = typer.prompt(question, hide_input=True, confirmation_prompt=confirm)
    return password.encode("utf-8", "surrogateescape")


def _describe(scheme: str, public_id: str) -> None:
    from eth_utils.address import to_checksum_address

    from bflmec.crypto.keystore import ACCOUNT_SCHEME

    typer.echo(f"scheme      {scheme}")
    if scheme != ACCOUNT_SCHEME:
        typer.echo(f"key digest  0x{public_id}")
    elif public_id:
        typer.echo(f"address     {to_checksum_address(public_id)}")
    else:
        typer.echo("address     not in the file; `bflmec keys check` computes it")
