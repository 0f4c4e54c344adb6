"""What stands between attackers and the global gradient: the default, the paper's rules, and rules from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

_PLAIN = ("theta=uniform", "history=0", "clip=none", "k_min=1", "require_majority=false")
_NO_CLUSTERS = ("clustering=none", *_PLAIN)


@dataclass(frozen=True)
class Defence:
    """Configuration settings. `selects` says that it calls contributions high or low; else all of them count."""

    settings: tuple[str, ...]
    selects: bool = True


DEFENCES = {
    "default": Defence(()),
    "paper": Defence(("preset=paper",)),
    "accepted history": Defence(("history_of=accepted",)),
    "no history": Defence(("history=0",)),
    "dbscan": Defence(("clustering=dbscan",)),
    "k-means": Defence(("clustering=k-means",)),
    "agglomerative": Defence(("clustering=agglomerative",)),
    "hdbscan": Defence(("clustering=hdbscan",)),
    "krum": Defence(("clustering=krum", "features=euclidean", *_PLAIN)),
    "multi-krum": Defence(("clustering=multi-krum", "features=euclidean", *_PLAIN)),
    "simple average": Defence(_NO_CLUSTERS, selects=False),
    "norm clipping": Defence((*_NO_CLUSTERS, "clip=1.0"), selects=False),
    "coordinate median": Defence((*_NO_CLUSTERS, "combination=coordinate-median"), selects=False),
    "trimmed mean": Defence((*_NO_CLUSTERS, "combination=trimmed-mean"), selects=False),
    "geometric median": Defence((*_NO_CLUSTERS, "combination=geometric-median"), selects=False),
}
