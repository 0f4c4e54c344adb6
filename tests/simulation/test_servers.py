"""Asynchronous servers do what their papers say, one upload at a time."""

from __future__ import annotations

import numpy as np
import pytest

from bflmec.errors import ConfigError
from bflmec.simulation.servers import Server, ServerSettings, Upload, servers

ZERO = np.zeros(2, np.float32)


def server(name: str, **settings: object) -> Server:
    chosen: dict[str, object] = {"clients": 10, "buffer": 2, "root_delta": lambda weights: vector(1, 0)}
    return servers.get(name)(ServerSettings(**{**chosen, **settings}))  # type: ignore[arg-type]


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def upload(*delta: float, client: int = 0, staleness: int = 0, base: np.ndarray = ZERO) -> Upload:
    return Upload(client, vector(*delta), base, staleness)


def test_fedasync_mixes_local_weights_in_less_when_they_are_stale() -> None:
    weights = vector(1, 1)
    fresh = server("fedasync").receive(weights, upload(2, 0))
    stale = server("fedasync").receive(weights, upload(2, 0, staleness=3))
    assert fresh == pytest.approx([0.4 * 1 + 0.6 * 2, 0.4])
    assert stale == pytest.approx([0.7 * 1 + 0.3 * 2, 0.7])


def test_fedbuff_adds_the_mean_of_its_buffer_discounted_by_staleness() -> None:
    one = server("fedbuff")
    assert one.receive(ZERO, upload(4, 0)) is None
    assert one.receive(ZERO, upload(0, 4, staleness=3)) == pytest.approx([2, 1])
    assert one.receive(ZERO, upload(4, 0)) is None, "the buffer is empty again"


def test_basgd_takes_the_median_of_buffers_that_clients_share() -> None:
    one = server("basgd", buffer=10, byzantine=0.1)  # three buffers
    assert one.receive(ZERO, upload(1, 0, client=0)) is None
    assert one.receive(ZERO, upload(3, 0, client=3)) is None, "the same buffer"
    assert one.receive(ZERO, upload(-100, 0, client=1)) is None
    assert one.receive(ZERO, upload(5, 7, client=2)) == pytest.approx([2, 0])


def test_kardam_refuses_a_client_that_changes_faster_than_the_others() -> None:
    one = server("kardam", clients=100)
    for step in range(2):
        for client in range(20):
            base = vector(step, 0)
            assert one.receive(ZERO, upload(1 + step, 0, client=client, base=base)) is not None
    assert one.receive(ZERO, upload(500, 0, client=3, base=vector(2, 0))) is None


def test_kardam_refuses_a_client_that_fills_the_queue() -> None:
    one = server("kardam", clients=10)  # three of the last seven
    taken = [one.receive(ZERO, upload(1, 0, client=5)) is not None for _ in range(5)]
    assert taken == [True, True, True, False, False]


def test_zeno_scales_to_its_own_length_and_refuses_what_points_away() -> None:
    one = server("zeno++")
    assert one.receive(ZERO, upload(30, 40)) == pytest.approx([0.3, 0.4])
    assert one.receive(ZERO, upload(-30, 40)) is None
    assert one.receive(ZERO, upload(0, 0)) is None


def test_fltrust_weighs_by_positive_cosine() -> None:
    one = server("fltrust")
    one.receive(ZERO, upload(8, 0))
    assert one.receive(ZERO, upload(-9, 1)) == pytest.approx([1, 0])
    one.receive(ZERO, upload(-1, 0))
    assert one.receive(ZERO, upload(0, 1)) is None, "nobody to trust"


@pytest.mark.parametrize("name", ["zeno++", "fltrust"])
def test_servers_with_root_data_need_some(name: str) -> None:
    with pytest.raises(ConfigError, match="trusted samples"):
        server(name, root_delta=None)
