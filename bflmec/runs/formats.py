"""How figures are written for people, in reports and tables."""

from __future__ import annotations

from bflmec.configuration.sections import TOKEN

_UNITS = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))


def short_hex(text: str | bytes) -> str:
    """The ends of an account or digest, enough to tell it from others."""
    digits = text.hex() if isinstance(text, bytes) else text.removeprefix("0x")
    return f"0x{digits}" if len(digits) <= 12 else f"0x{digits[:6]}…{digits[-4:]}"


def tokens(units: int) -> str:
    """An amount in the reward token's smallest unit, in tokens: two digits after the point, but for whole amounts."""
    return f"{units // TOKEN:,}" if units % TOKEN == 0 else f"{units / TOKEN:,.2f}"


def time_unit(seconds: float) -> tuple[str, float]:
    """A unit that suits a span of time, and its length in seconds."""
    return next(((name, length) for name, length in _UNITS if seconds >= 2 * length), ("seconds", 1.0))


def duration(seconds: float) -> str:
    """A span of time in the unit that suits it."""
    name, length = time_unit(seconds)
    return f"{seconds / length:,.1f} {name}"


def share(part: int, whole: int) -> str:
    """`part` of `whole` in percent."""
    return f"{100 * part / whole:.0f} %" if whole else "–"


def printable(text: str) -> str:
    """Text that somebody else chose, with nothing left in it that could steer a terminal."""
    return text if text.isprintable() else ascii(text)
