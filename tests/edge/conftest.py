"""One running edge node for the tests that need no more; those that break things make their own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from service_world import World, world

_numbers = count()


@pytest.fixture(scope="module")
def edge_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("edge"), 1, clients=40) as made:
        made.start(0)
        yield made


@pytest.fixture
def number() -> int:
    """A client's number that no other test uses."""
    return next(_numbers)
