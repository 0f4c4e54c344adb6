"""Named plug-ins: built-in ones register themselves, foreign ones come through an entry point.

A package adds, say, a clustering algorithm from the outside with

    [project.entry-points."bflmec.clusterings"]
    my-clusterer = "my_package:MyClusterer"
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from bflmec.errors import ConfigError

T = TypeVar("T")


def nearest(name: str, known: list[str]) -> str:
    """A hint that names what the user may have meant: the nearest of `known`, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(sorted(known))


class Registry(Generic[T]):
    """A table of names for one kind of plug-in, such as `clusterings`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters a class or factory under `name`."""

        def enter(item: T) -> T:
            if name in self._items:
                raise ConfigError(f"{self.kind}: {name!r} is registered twice")
            self._items[name] = item
            return item

        return enter

    def names(self) -> list[str]:
        foreign = {point.name for point in entry_points(group=f"bflmec.{self.kind}")}
        return sorted(self._items.keys() | foreign)

    def get(self, name: str) -> T:
        """The plug-in of that name. Raises ConfigError that names the nearest known one."""
        if name in self._items:
            return self._items[name]
        for point in entry_points(group=f"bflmec.{self.kind}"):
            if point.name == name:
                item: T = point.load()
                self._items[name] = item
                return item
        raise ConfigError(f"no {self.kind} named {name!r}; {nearest(name, self.names())}")
