"""HDF5 files laid out as robomimic, LIBERO and ALOHA lay theirs out, small and random."""

import io
import json

import h5py
import numpy as np
from PIL import Image

SIZE = (8, 6)


def frames(seed, steps):
    return np.random.default_rng(seed).integers(0, 256, (steps, *SIZE, 3), dtype=np.uint8)


def numbers(seed, steps, dim, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(steps, dim)).astype(dtype)


def env_args(**changes):
    kwargs = {"robots": ["Panda"], "control_freq": 20} | changes
    return json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": kwargs})


def write_robomimic(path, num_demos=3):
    """Return the path; demonstrations 0, 10 and 2, in the order HDF5 sorts them: 0, 10, 2."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = env_args()
        for place, number in enumerate([0, 10, 2][:num_demos]):
            steps = 4 + place
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = steps
            demo["actions"] = numbers(number, steps, 7)
            demo["rewards"] = np.arange(steps, dtype=np.float64)
            demo["dones"] = np.eye(1, steps, steps - 1, dtype=np.int64)[0]
            obs = demo.create_group("obs")
            obs["agentview_image"] = frames(number, steps)
            obs["robot0_eef_pos"] = numbers(number + 1, steps, 3)
            obs["robot0_eef_quat"] = numbers(number + 2, steps, 4)
            obs["robot0_gripper_qpos"] = numbers(number + 3, steps, 2)
            obs["object"] = numbers(number + 4, steps, 10)
            demo.create_group("next_obs")["object"] = numbers(number + 5, steps, 10)
        mask = file.create_group("mask")
        mask["train"] = np.array([b"demo_10", b"demo_0"])
    return path


def write_libero(path, instruction="put the bowl on the plate", num_demos=2):
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = env_args()
        data.attrs["problem_info"] = json.dumps({"language_instruction": instruction})
        data.attrs["macros_image_convention"] = "opengl"
        for number in range(num_demos):
            steps = 5
            demo = data.create_group(f"demo_{number}")
            demo["actions"] = numbers(number, steps, 7)
            demo["rewards"] = np.eye(1, steps, steps - 1, dtype=np.uint8)[0]
            demo["dones"] = np.eye(1, steps, steps - 1, dtype=np.uint8)[0]
            obs = demo.create_group("obs")
            obs.create_dataset("agentview_rgb", data=frames(number, steps), compression="gzip")
            obs["eye_in_hand_rgb"] = frames(number + 50, steps)
            obs["ee_states"] = numbers(number + 1, steps, 6)
            obs["gripper_states"] = numbers(number + 2, steps, 2)
            obs["joint_states"] = numbers(number + 3, steps, 7)
    return path


def jpeg(frame):
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()


def write_aloha(folder, num_episodes=2, *, compressed=False, first=9):
    """Episodes numbered 9, 10 ...; as text, 10 comes first."""
    folder.mkdir(exist_ok=True)
    for number in range(first, first + num_episodes):
        steps = 4
        with h5py.File(folder / f"episode_{number}.hdf5", "w") as file:
            file.attrs["sim"] = False
            file["action"] = numbers(number, steps, 14, np.float32)
            obs = file.create_group("observations")
            obs["qpos"] = numbers(number + 1, steps, 14, np.float32)
            obs["qvel"] = numbers(number + 2, steps, 14, np.float32)
            pictures = frames(number, steps)
            if compressed:
                files = [jpeg(frame) for frame in pictures]
                length = max(map(len, files)) + 3
                rows = [np.frombuffer(f.ljust(length, b"\0"), np.uint8) for f in files]
                pictures = np.stack(rows)
            obs.create_group("images")["cam_high"] = pictures
    return folder
