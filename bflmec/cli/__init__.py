"""The command line. Every command imports what it needs when it runs, so that help answers at once."""

from bflmec.cli.main import main

__all__ = ["main"]
