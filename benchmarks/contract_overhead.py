"""Print what masks, contracts and the shared loop cost against hand-written PyTorch.

    python benchmarks/contract_overhead.py [--steps 20] [--rounds 5]

Both sides train the default cross-attention policy: the same layers from the same weights on the
same batches, AdamW, clipping and an average of the weights. The hand-written side knows the form of
its data: no masks, no absent modality, no checks, word ids ready. That both compute the same is
checked first. The figure is the median over rounds of the ratio of the processor times of a step.
"""

import argparse
import copy
import math
import statistics
import time
from dataclasses import replace
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training_speed import make_trainers

from plait.policy import Policy
from plait.results import describe_machine
from plait.training.loop import Trainer
from plait.training.schedule import learning_rate
from plait.types import Batch


def attention(layer: nn.Module, queries: Tensor, keys: Tensor) -> Tensor:
    """Multi-head attention over all keys."""

    def heads(values: Tensor) -> Tensor:
        return values.unflatten(-1, (layer.num_heads, -1)).transpose(1, 2)

    key, value = (heads(part) for part in layer.key_value(keys).chunk(2, dim=-1))
    mixed = F.scaled_dot_product_attention(heads(layer.query(queries)), key, value)
    return layer.out(mixed.transpose(1, 2).flatten(-2))


class HandWritten(nn.Module):
    """The cross-attention policy, written out for one camera and instructions of equal length."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = copy.deepcopy(policy)

    def forward(self, image: Tensor, ids: Tensor, proprio: Tensor, actions: Tensor) -> Tensor:
        """Return the Huber loss of normalised actions."""
        return F.huber_loss(self.predict(image, ids, proprio), actions)

    def predict(self, image: Tensor, ids: Tensor, proprio: Tensor) -> Tensor:
        """Return the normalised chunk."""
        encoders, fusion = self.policy.encoders, self.policy.fusion
        conv, words, state = encoders["vision"], encoders["language"], encoders["proprio"]
        pixels = (image.float() / 64 - 2).contiguous(memory_format=torch.channels_last)
        place = conv.position + conv.view_embedding[0]
        rows, columns = conv.token_spec.grid
        patches = conv.norm(conv.stem(pixels)).flatten(2).transpose(1, 2) + place
        grid = patches.transpose(1, 2).unflatten(2, (rows, columns))
        for block in conv.trunk:
            grid = grid + F.silu(block.conv(block.norm(grid)))
        patches = grid.flatten(2).transpose(1, 2) + place
        text = words.embedding(ids) + words.position[: ids.shape[1]]
        normed = words.trunk.attention_norm(text)
        text = text + attention(words.trunk.attention, normed, normed)
        text = text + words.trunk.mlp(words.trunk.mlp_norm(text))
        body = state.embed(proprio) + state.step_embedding
        body = body + state.trunk(body)
        vision, text, body = (
            fusion.project[name].linear(values) + fusion.project[name].modality_embedding
            for name, values in (("vision", patches), ("language", text), ("proprio", body))
        )
        command = torch.cat([text, body], dim=1)
        for layer in fusion.layers:
            told, seen = layer.command_norm(command), layer.vision_norm(vision)
            command = command + attention(layer.read_vision, told, seen)
            vision = vision + attention(layer.read_command, seen, told)
            command = command + layer.command_mlp(layer.command_mlp_norm(command))
            vision = vision + layer.vision_mlp(layer.vision_mlp_norm(vision))
        tokens = torch.cat([command, vision], dim=1)
        pool = self.policy.head.pools[0]
        logits = pool.queries @ pool.key(tokens).transpose(-1, -2)
        weights = (logits / math.sqrt(pool.queries.shape[-1])).softmax(dim=-1)
        pooled = (weights @ pool.value(tokens)).flatten(1)
        chunk = torch.tanh(self.policy.head.mlps[0](pooled))
        return chunk.unflatten(-1, self.policy.head.chunk_shape)


class HandLoop:
    """A training loop as one writes it for one model."""

    def __init__(self, model: HandWritten, trainer: Trainer) -> None:
        self.model, self.config = model, trainer.config
        self.parameters = list(model.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.config.learning_rate, betas=(0.9, 0.99), fused=True
        )

    def step(
        self, index: int, image: Tensor, ids: Tensor, proprio: Tensor, actions: Tensor
    ) -> None:
        """Take one step."""
        config = self.config
        self.optimizer.param_groups[0]["lr"] = learning_rate(
            index, peak=config.learning_rate, warmup_steps=config.warmup_steps,
            num_steps=config.num_steps,
        )  # fmt: skip
        self.optimizer.zero_grad()
        loss = self.model(image, ids, proprio, actions)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, config.gradient_clip)
        self.optimizer.step()
        torch._foreach_lerp_(self.average, self.parameters, 0.01)
        if not math.isfinite(loss.item()):
            raise ValueError("the loss is not finite")


def plain_inputs(policy: Policy, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Prepare what the hand-written side takes for granted."""
    observation = batch.observation
    (image,) = observation.images.values()
    ids = policy.encoders["language"].tokenize(observation.instruction)
    proprio = policy.normalizer.normalize_proprio(observation.proprio)
    actions = policy.normalizer.normalize_actions(batch.action_chunk.actions)
    return image[:, 0], ids, proprio, actions


def main() -> None:
    """Check that both sides agree, then time them in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    with TemporaryDirectory() as folder:
        trainer, source = make_trainers(folder, ["cross_attention"])["cross_attention"]

        def batches(step: int) -> Batch:
            batch = source(step)
            same = replace(batch.observation, instruction=("touch the red cube",) * 64)
            return replace(batch, observation=same)

        plain = HandWritten(trainer.policy)
        hand = HandLoop(plain, trainer)
        with torch.no_grad():
            batch = batches(0)
            ours = trainer.policy.head.predict(trainer.policy.fuse(batch.observation))
            theirs = plain.predict(*plain_inputs(trainer.policy, batch)[:3])
            torch.testing.assert_close(ours, theirs)
        ratios = []
        for number in range(options.rounds):
            steps = range(number * options.steps, (number + 1) * options.steps)
            start = time.process_time()
            for step in steps:
                trainer.step(step, batches(step))
            ours_s = time.process_time() - start
            start = time.process_time()
            for step in steps:
                hand.step(step, *plain_inputs(trainer.policy, batches(step)))
            theirs_s = time.process_time() - start
            ratios.append(ours_s / theirs_s)
            milliseconds = (1e3 * ours_s / options.steps, 1e3 * theirs_s / options.steps)
            print(f"Plait {milliseconds[0]:.1f} ms, by hand {milliseconds[1]:.1f} ms a step")
    machine = describe_machine()
    print(
        f"ratio {statistics.median(ratios):.3f}  ({machine.processor}, {machine.num_cores} cores)"
    )


if __name__ == "__main__":
    main()
