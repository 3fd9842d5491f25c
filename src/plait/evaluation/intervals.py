"""Intervals of what is measured on samples that are not independent."""

from jaxtyping import Float, Int
from torch import Tensor

from plait.alignment.metrics.retrieval import bootstrap_interval

SHARES = (0.0, 1.0)


def clustered_interval(
    values: Float[Tensor, " queries"],
    clusters: Int[Tensor, " queries"],
    seed: int,
    everything: tuple[float, float] = SHARES,
) -> tuple[float, float]:
    """Return the bootstrap interval of the mean over clusters such as episodes.

    Args:
        values: One a query.
        clusters: The same number for queries that are drawn together.
        seed: Of the draws.
        everything: What is returned for a single cluster, of whose spread nothing can be said.
    """
    if len(clusters.unique()) < 2:
        return everything
    return bootstrap_interval(values, clusters, seed)
