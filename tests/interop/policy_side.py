"""The same policies of LeRobot, asked by LeRobot's own loop and through `examples/lerobot_policy`.

    python policy_side.py OUT.npz DATASET         # in LeRobot's environment, with Plait beside it

OUT holds, for each kind of policy, `KIND/own` and `KIND/plait`: the actions of the first two chunks
of every episode, [episodes, steps, action_dim].
"""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

from examples.lerobot_policy import LeRobotPolicy
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import (
    get_policy_class,
    make_policy,
    make_policy_config,
    make_pre_post_processors,
)

from plait.data.dataset import Demonstrations

CHUNK, NUM_STEPS = 4, 8
SMALL = {"pretrained_backbone_weights": None, "device": "cpu", "push_to_hub": False}
KINDS = {
    "act": {
        "dim_model": 32, "dim_feedforward": 32, "n_heads": 2, "n_encoder_layers": 1,
        "n_vae_encoder_layers": 1, "chunk_size": 6, "n_action_steps": CHUNK,
    },
    "diffusion": {
        "horizon": 8, "n_action_steps": CHUNK, "down_dims": (16, 32), "crop_shape": None,
        "spatial_softmax_num_keypoints": 4, "num_inference_steps": 3,
    },
}  # fmt: skip


def save_policy(kind: str, data: LeRobotDataset, folder: Path) -> None:
    """Save a policy with random weights and the processors of a dataset."""
    torch.manual_seed(0)
    config = make_policy_config(kind, **SMALL, **KINDS[kind])
    make_policy(config, ds_meta=data.meta).save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=data.meta.stats):
        processor.save_pretrained(folder)


def own_actions(folder: Path, kind: str, data: LeRobotDataset, starts: list[int]) -> np.ndarray:
    """Ask as LeRobot's evaluation does: one observation in, one action out of the queue."""
    policy = get_policy_class(kind).from_pretrained(folder)
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(folder))
    actions = []
    for start in starts:
        policy.reset()
        for step in range(NUM_STEPS):
            # As the wrapper does: the same noise at every look.
            torch.manual_seed(0)
            item = data[start + step]
            batch = {key: item[key] for key in (*data.meta.camera_keys, "observation.state")}
            actions.append(after(policy.select_action(before({**batch, "task": item["task"]}))))
    return torch.cat(actions).reshape(len(starts), NUM_STEPS, -1).numpy()


def plait_actions(folder: Path, root: Path) -> np.ndarray:
    """Ask for the chunks at the first step of every episode and where its actions run out."""
    policy = LeRobotPolicy(folder)
    data = Demonstrations.open(root, observation_window=policy.observation_window)
    looks = data.episode_bounds[:, :1] + np.arange(0, NUM_STEPS, CHUNK)
    chunks = [
        policy.predict(data.gather(np.array([look])).observation).actions[:, :CHUNK]
        for look in looks.ravel()
    ]
    return torch.cat(chunks).reshape(len(looks), NUM_STEPS, -1).numpy()


def main() -> None:
    """Ask both ways and write what came back."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("dataset", type=Path)
    options = parser.parse_args()
    data = LeRobotDataset("local/set", root=options.dataset)
    starts = [int(start) for start in data.meta.episodes["dataset_from_index"]]
    found = {}
    for kind in KINDS:
        with TemporaryDirectory() as name:
            save_policy(kind, data, Path(name))
            found[f"{kind}/own"] = own_actions(Path(name), kind, data, starts)
            found[f"{kind}/plait"] = plait_actions(Path(name), options.dataset)
    np.savez(options.out, **found)


if __name__ == "__main__":
    main()
