"""How commands show a wallet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bflmec.client.audit import AuditReport
    from bflmec.client.status import WalletStatus


def tokens(amount: int) -> str:
    """An amount of the token's smallest unit, in tokens."""
    from decimal import Decimal

    from bflmec.configuration.sections import TOKEN

    return f"{(Decimal(amount) / TOKEN).normalize():f}"


def print_report(report: AuditReport) -> None:
    """What holds of an audit proof, a line a check."""
    for check in report.checks:
        typer.echo(f"{'FAILED' if check.failures else ' holds'} {check.passed:6} x  {check.name}")
        for failure in check.failures:
            typer.echo(f"                  {failure}")
    for what in report.unchecked:
        typer.echo(f"  not checked:    {what}")
    typer.echo(
        f"{report.recorded} of {report.gradients} local gradients recorded, {tokens(report.cumulative)} tokens earned"
    )


def status_text(status: WalletStatus) -> str:
    """A wallet's status for people."""
    from eth_utils.address import to_checksum_address

    known = {True: "yes", False: "no", None: "the ledger does not answer"}
    near = {id_: "not asked" if seconds is None else f"{seconds:.3f} s" for id_, seconds in status.edge_nodes.items()}
    lines = {
        "account": to_checksum_address(status.account),
        "key digest": "0x" + status.key_digest.hex(),
        "registered": known[status.registered],
        "anchor": f"{_or_none(status.anchor)} (newest: {_or_none(status.newest_anchor)})",
        "pending": f"{status.pending} local updates, next sequence number {status.sequence}",
        "sent": f"{status.filed} local gradients, {status.recorded} of them recorded",
        "earned": "unknown" if status.earned is None else f"{tokens(status.earned)} tokens",
        "claimed": "unknown" if status.claimed is None else f"{tokens(status.claimed)} tokens",
        "edge nodes": ", ".join(f"{id_} ({text})" for id_, text in near.items()) or "none known yet",
    }
    return "\n".join(f"{name:<11} {text}" for name, text in lines.items())


def _or_none(number: int | None) -> str:
    return "none" if number is None else str(number)


def status_json(status: WalletStatus) -> str:
    """A wallet's status for programs: amounts are decimal texts, since some parsers hold no such integers."""
    import json
    from dataclasses import asdict

    texts = {"account": "0x" + status.account.hex(), "key_digest": "0x" + status.key_digest.hex()}
    amounts = {"earned": status.earned, "claimed": status.claimed}
    decimal = {name: None if amount is None else str(amount) for name, amount in amounts.items()}
    return json.dumps(asdict(status) | texts | decimal)
