"""Every planted bug is caught by the check that is named for it, and every check catches one."""

import re
from functools import cache

import planted_fusions as planted
import pytest

from plait.testing import check_fusion
from plait.testing.fusion import FUSION_CHECKS
from plait.testing.fusion_case import FusionCase

CAUGHT_BY = {
    planted.MeanOverPadding: "padding_values_do_not_matter",
    planted.MaskThenPlainMean: "padding_length_does_not_matter",
    planted.InvertedMask: "padding_values_do_not_matter",
    planted.MaskByProduct: "padding_values_do_not_matter",
    planted.MaskNeverRead: "padding_values_do_not_matter",
    planted.ModalitySkipped: "every_modality_matters",
    planted.ParametersInAList: "no_tensor_is_hidden",
    planted.ModulesInADictionary: "no_tensor_is_hidden",
    planted.PlainTensorAttribute: "no_tensor_is_hidden",
    planted.StatisticsOverTheBatch: "samples_are_independent",
    planted.BatchNormalised: "samples_are_independent",
    planted.PlaceInTheBatch: "batch_order_only_permutes",
    planted.SoftmaxOverNothing: "absence_is_finite",
    planted.SoftmaxOverNothingRepaired: "absence_is_finite",
    planted.AbsentModalityLeaks: "an_absent_modality_does_not_leak",
    planted.WeaklyMasked: "padding_gets_no_gradient",
    planted.DeadBranch: "every_parameter_receives_gradient",
    planted.SingleKeySoftmax: "every_parameter_receives_gradient",
    planted.DetachedBranch: "gradients_match_finite_differences",
    planted.OrderOfTheDictionary: "order_of_modalities_does_not_matter",
    planted.RandomInForward: "the_same_input_gives_the_same_output",
    planted.InPlaceMask: "inputs_are_left_alone",
    planted.FixedDtype: "bfloat16_is_close",
    planted.PositionalOption: "options_have_defaults",
    planted.WrongNumberOfGroups: "output_has_the_declared_form",
    planted.HiddenDimAddsLayers: "hidden_dim_changes_only_the_size",
    planted.UnsavedState: "state_dict_round_trip_is_exact",
    planted.WeightsIgnoreAbsence: "weights_are_shares_of_what_is_present",
    planted.WeightsNotRenormalised: "weights_are_shares_of_what_is_present",
    planted.NegativeWeights: "weights_are_shares_of_what_is_present",
}
# Bugs that one check alone can see: without that check they would pass.
CAUGHT_ALONE = {
    planted.MaskThenPlainMean,
    planted.DeadBranch,
    planted.SingleKeySoftmax,
    planted.OrderOfTheDictionary,
    planted.FixedDtype,
    planted.UnsavedState,
    planted.DetachedBranch,
    planted.HiddenDimAddsLayers,
    planted.WeightsNotRenormalised,
}


@cache
def failed_checks(kind):
    """Return the names of the checks that fail, and the whole message."""
    options = {"hidden_dim": 16} if kind is planted.PositionalOption else {}
    try:
        check_fusion(kind, **options)
    except AssertionError as error:
        return frozenset(re.findall(r"^- (\w+): ", str(error), re.MULTILINE)), str(error)
    return frozenset(), ""


@pytest.mark.parametrize(
    "kind", [planted.SoundFusion, planted.AttentionPooled, planted.DecisionLevel]
)
def test_sound_fusions_pass(kind):
    check_fusion(kind)


@pytest.mark.parametrize("kind", CAUGHT_BY, ids=lambda kind: kind.__name__)
def test_bug_is_caught_by_its_check(kind):
    failed, message = failed_checks(kind)
    assert CAUGHT_BY[kind] in failed
    assert message.startswith(f"{kind.__name__} breaks its contract in {len(failed)} of 20 checks")
    if kind in CAUGHT_ALONE:
        assert failed == {CAUGHT_BY[kind]}


def test_every_check_catches_a_bug():
    caught = frozenset().union(*(failed_checks(kind)[0] for kind in CAUGHT_BY))
    assert caught == {check.__name__ for check in FUSION_CHECKS}


def test_every_check_gives_its_reason():
    for check in FUSION_CHECKS:
        assert check.__doc__.strip().endswith(".")
        assert len(check.__doc__.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (planted.MeanOverPadding, "Likely a mean over padding"),
        (planted.MaskThenPlainMean, "divide by the number of real ones"),
        (planted.ModalitySkipped, "Likely proprio is not read at all"),
        (planted.ParametersInAList, "factors.0 hidden from PyTorch"),
        (planted.ModulesInADictionary, "extra.scale hidden from PyTorch"),
        (planted.DeadBranch, "no gradient for unused.weight, unused.bias. Likely a dead branch"),
        (planted.BatchNormalised, "Likely statistics over the batch"),
        (planted.SoftmaxOverNothingRepaired, "the gradient is not finite with vision absent"),
        (planted.AbsentModalityLeaks, "an open mask whose outcome is not dropped"),
        (planted.WeightsNotRenormalised, "do not sum to 1 with vision absent"),
        (planted.NegativeWeights, "negative group weight with nothing absent"),
        (planted.WrongNumberOfGroups, "1 groups, but num_groups is 2"),
        (planted.FixedDtype, "Likely a constant tensor of a fixed dtype"),
        (planted.PositionalOption, "options hidden_dim must be keyword-only and have defaults"),
        (planted.DetachedBranch, "Likely a detach"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_message_names_the_likely_cause(kind, cause):
    assert cause in failed_checks(kind)[1]


def test_an_error_inside_a_check_is_a_failure_and_keeps_its_traceback():
    class Raises(planted.SoundFusion):
        def finish(self, fused):  # noqa: ARG002
            raise RuntimeError("the planted error")

    with pytest.raises(AssertionError, match="raised RuntimeError: the planted error") as caught:
        check_fusion(Raises)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_options_reach_the_fusion():
    fusion = FusionCase(planted.SoundFusion, {"hidden_dim": 13}).build()
    assert fusion.mlp.expand.out_features == 13
