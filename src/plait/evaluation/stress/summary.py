"""Many scores in few numbers: areas under severity curves, as MultiBench defines robustness.

A severity curve is performance (higher is better) at severities from 0, the clean condition, on.

Reference: Liang et al., 2021 (MultiBench); its noise levels from 0 to 1 are here the
severities, and its relative robustness is divided by the clean performance.
"""

from collections.abc import Mapping

import numpy as np

from plait.errors import OptionError

CLEAN_SEVERITY = 0


def area_under_curve(curve: Mapping[int, float]) -> float:
    """Return the mean performance from no corruption to the highest severity played.

    `1 / s_max · ∫ f(s) ds` by the trapezoid rule over the severities that were played.

    Args:
        curve: Performance by severity, 0 and at least one more among them.

    Raises:
        OptionError: If the clean condition or every corrupted one is absent.
    """
    severities = sorted(curve)
    if len(severities) < 2 or severities[0] != CLEAN_SEVERITY:
        raise OptionError(
            f"a severity curve starts at 0 and goes on, but has the severities {severities}"
        )
    values = [curve[severity] for severity in severities]
    return float(np.trapezoid(values, severities)) / severities[-1]


def relative_robustness(curve: Mapping[int, float]) -> float | None:
    """Return the area under the severity curve over the clean performance.

    1 is a policy that no severity hurts, 0 one that fails as soon as there is any; None where the
    clean performance is not above zero, and there is nothing to lose.
    """
    clean = curve[CLEAN_SEVERITY]
    return area_under_curve(curve) / clean if clean > 0 else None


def effective_robustness(curve: Mapping[int, float], reference: Mapping[int, float]) -> float:
    """Return by how much a policy holds better than a reference that is as good when clean.

    `ρ = Σ_s f(s) - β(s)`, `β(s) = r(s) + f(0) - r(0)`, over the severities that both have. Above
    zero, it loses less than the reference does.

    Args:
        curve: Performance of the policy by severity.
        reference: Performance of the reference; late fusion in MultiBench.

    Raises:
        OptionError: If they have no corrupted severity in common, or one has no clean condition.
    """
    common = sorted(set(curve) & set(reference) - {CLEAN_SEVERITY})
    if not common or not all(CLEAN_SEVERITY in each for each in (curve, reference)):
        raise OptionError(
            f"the severities {sorted(curve)} and {sorted(reference)} cannot be compared: both need "
            "0 and one more in common"
        )
    shift = curve[CLEAN_SEVERITY] - reference[CLEAN_SEVERITY]
    return float(sum(curve[s] - (reference[s] + shift) for s in common))
