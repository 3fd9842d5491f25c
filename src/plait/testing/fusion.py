"""The conformance kit of a fusion: `check_fusion(MyFusion, hidden_dim=32)`.

Every check is a function with its reason in one line; each has caught a real bug of published
code, or one planted in our tests. Run one alone with `check(FusionCase(MyFusion, {}))`.
"""

import torch

from plait.fusion.base import Fusion
from plait.testing.checks import require_same, run_checks
from plait.testing.fusion_case import FusionCase, fused_tokens, read
from plait.testing.fusion_form import FORM_CHECKS
from plait.testing.fusion_masks import MASK_CHECKS
from plait.testing.fusion_parameters import PARAMETER_CHECKS

FUSION_CHECKS = (*FORM_CHECKS, *MASK_CHECKS, *PARAMETER_CHECKS)


def check_fusion(kind: type[Fusion], **options: object) -> None:
    """Check that a fusion keeps the contract of `plait.fusion.base.Fusion`.

    Args:
        kind: The class.
        options: Keyword options to build it with.

    Raises:
        AssertionError: If a check fails; it names every failed check and its likely cause.
    """
    run_checks(kind.__name__, FUSION_CHECKS, FusionCase(kind, options))


def check_fusion_compiles(
    kind: type[Fusion], *, backend: str = "aot_eager", **options: object
) -> None:
    """Check that `torch.compile(fullgraph=True)` traces a fusion and computes the same.

    Not part of `check_fusion`, because it takes seconds. Runtime type checks break tracing, so
    call it outside pytest's jaxtyping hook.

    Args:
        kind: The class.
        backend: `aot_eager` traces without a compiler; `inductor` generates code and needs one.
        options: Keyword options to build it with.

    Raises:
        AssertionError: If the compiled result differs.
    """
    fusion, tokens = fused_tokens(FusionCase(kind, options))
    compiled = torch.compile(fusion, fullgraph=True, backend=backend)
    require_same(read(compiled(tokens)), read(fusion(tokens)), "compiled, the result differs")
