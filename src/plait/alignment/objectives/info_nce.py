"""InfoNCE over all pairs, both ways; on request, vision and text together ask for action.

Idea: of each pair, true partners are more alike than any other two in the batch. One instruction
labels many frames; those are no negatives of one another in the pairs with text. The fused query
asks vision and text together for the action; on the tabletop it costs more than it gives
(`docs/alignment.md`). When it loses: small batches, where there is little to tell apart.

References: van den Oord et al., 2018 (InfoNCE); Radford et al., 2021 (CLIP).
"""

from collections.abc import Mapping

from plait.alignment.base import ACTION, ALIGNED, PAIRS, Embeddings, pair_name
from plait.alignment.contrast import Pair, Tiling, contrast
from plait.alignment.losses import fused_query
from plait.alignment.objectives.base import (
    MAX_LOGIT_SCALE,
    LogitScale,
    Objective,
    ObjectiveLoss,
    check_repeats,
    check_weights,
    groups_of,
)
from plait.errors import OptionError
from plait.types import LANGUAGE, VISION


class InfoNceObjective(Objective):
    """Six directions with one bounded scale, and the fused query with its own.

    Args:
        weights: Of the pairs, by names such as `vision-language`; 1 where not given.
        repeats: What samples with the same instruction are in the pairs with text: `mask` takes
            them out of the negatives, `keep` leaves them in, as the textbook does.
        fused_weight: Of the fused query beside the pairs; 0 leaves it out.
        initial_scale: Logit scale at the start.
        largest_scale: Its bound.
        ramp_steps: Steps over which the bound rises to there; 0 for a bound that stays.
        precision: Of the products: `auto` for the fastest that is as accurate as float32, or one
            of those that `Tiling` names.
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float] | None = None,
        repeats: str = "mask",
        fused_weight: float = 0.0,
        initial_scale: float = 1 / 0.07,
        largest_scale: float = MAX_LOGIT_SCALE,
        ramp_steps: int = 0,
        precision: str = "auto",
    ) -> None:
        super().__init__()
        if fused_weight < 0:
            raise OptionError(f"the fused weight is {fused_weight}, but must be 0 or more")
        self.weights = check_weights(weights)
        self.has_masked_repeats = check_repeats(repeats)
        self.fused_weight = fused_weight
        self.pairwise = LogitScale(initial_scale, largest_scale, ramp_steps)
        self.fused = LogitScale(initial_scale, largest_scale, ramp_steps) if fused_weight else None
        self.tiling = Tiling(precision=precision)

    def forward(self, embeddings: Embeddings) -> ObjectiveLoss:
        """Return the mean over the pairs that are there, and every direction for the log."""
        values = [embeddings.values[name] for name in ALIGNED]
        pairs = [self._pair(embeddings, pair) for pair in PAIRS]
        scales = [self.pairwise()] * len(pairs)
        names = list(PAIRS)
        if self.fused is not None:
            values.append(fused_query(embeddings.values[VISION], embeddings.values[LANGUAGE]))
            present = self.present(embeddings, (VISION, LANGUAGE, ACTION))
            pairs.append(Pair(3, 2, weight=self.fused_weight, present=present))
            scales.append(self.fused())
            names.append((f"{VISION}+{LANGUAGE}", ACTION))
        result = contrast(values, pairs, scales, tiling=self.tiling, group=self.process_group)
        parts = {}
        for (first, second), terms, count in zip(names, result.terms, result.counts, strict=True):
            if count:
                parts[f"{first}→{second}"], parts[f"{second}→{first}"] = terms
        return ObjectiveLoss(result.total, parts)

    def _pair(self, embeddings: Embeddings, pair: tuple[str, str]) -> Pair:
        return Pair(
            ALIGNED.index(pair[0]),
            ALIGNED.index(pair[1]),
            weight=self.weights[pair_name(*pair)],
            groups=groups_of(embeddings, pair, has_masked_repeats=self.has_masked_repeats),
            present=self.present(embeddings, pair),
        )
