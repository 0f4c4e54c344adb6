"""A world of clients for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from client_world import ClientWorld, client_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ClientWorld]:
    with client_world(tmp_path) as world:
        yield world
