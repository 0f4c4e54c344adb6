"""The plug-ins that aggregation rules name.

A plug-in from outside is a class with the members of its protocol that is made from the rules, registered by decorator
or entry point (see `bflmec.registry`); `rules.options` has its constants, to which the ledger commits as well:

    @clusterings.register("nearest")
    class Nearest:
        deterministic = True

        def __init__(self, rules):
            self.radius = int(rules.options["radius"])

        def cluster(self, distances):
            return np.where(distances.values[-1] < self.radius, 0, NOISE)

The registries are `features`, `references`, `clusterings`, `thetas`, `strategies` and `combinations`.
"""

from __future__ import annotations

from dataclasses import dataclass

from bflmec.errors import ConfigError
from bflmec.learning import robust_clustering as robust_clustering  # enters its clusterers into the registry
from bflmec.learning.clustering import Clusterer, clusterings
from bflmec.learning.combinations import Combination, combinations
from bflmec.learning.contribution import Strategy, Theta, strategies, thetas
from bflmec.learning.features import Features, features
from bflmec.learning.references import Reference, references
from bflmec.learning.rules import AggregationRules


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One plug-in of each kind, ready for use."""

    features: Features
    reference: Reference
    clusterer: Clusterer
    theta: Theta
    strategy: Strategy
    combination: Combination

    @classmethod
    def of(cls, rules: AggregationRules) -> Pipeline:
        """Raises ConfigError for an unknown name, with the nearest known one."""
        return cls(
            features.get(rules.features)(rules),
            references.get(rules.reference)(rules),
            clusterings.get(rules.clustering)(rules),
            thetas.get(rules.theta)(rules),
            strategies.get(rules.strategy)(rules),
            combinations.get(rules.combination)(rules),
        )

    def require_deterministic(self) -> None:
        """Raises ConfigError, for a quorum, if one of the plug-ins may differ between machines."""
        for part in (self.features, self.reference, self.clusterer, self.theta, self.strategy, self.combination):
            if not part.deterministic:
                raise ConfigError(
                    f"{type(part).__name__} may give other results on other machines: edge nodes could not agree; "
                    "use it in experiments without a ledger, or choose another"
                )
