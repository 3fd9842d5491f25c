"""AdamW with weight decay where it belongs."""

import torch
from torch import nn

from plait.config import TrainingConfig

# Parameters that are looked up or added rather than multiplied: decay would only shrink them.
UNDECAYED = ("embedding", "position", "queries", "readouts", "latents", "slots", "type_")


def build_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Build AdamW (Loshchilov & Hutter, 2019); only weight matrices and kernels decay.

    Frozen parameters are left out.

    The order of the parameters is that of `module.named_parameters()`, which checkpoints rely on.
    """
    decayed: list[nn.Parameter] = []
    undecayed: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        is_table = any(part in name for part in UNDECAYED)
        (undecayed if parameter.ndim < 2 or is_table else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
