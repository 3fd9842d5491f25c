"""Draw the README's picture: one scene a verb, large and as a policy sees it.

python scripts/tabletop_picture.py docs/images/tabletop.png
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from plait.envs import make_env
from plait.envs.tabletop.expert import Expert

SIZE, SMALL, GAP, TEXT_HEIGHT = 300, 92, 10, 34
SCENES = {"touch": (5, 0.85), "pick": (3, 0.9), "place": (2, 0.75), "stack": (4, 0.85)}


def main(path: Path) -> None:
    """Play the expert partway through a scene of every verb and put the pictures side by side."""
    columns = [_column(verb, seed, share) for verb, (seed, share) in SCENES.items()]
    gap = np.full((columns[0].shape[0], GAP, 3), 255, dtype=np.uint8)
    parts = [part for column in columns for part in (column, gap)][:-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(parts, axis=1)).save(path, optimize=True)


def _column(verb: str, seed: int, share: float) -> np.ndarray:
    env = make_env(f"tabletop/{verb}")
    length = _play(env, seed, None)
    _play(env, seed, int(share * length))
    scene = env.unwrapped
    picture = Image.fromarray(scene.render_at(SIZE))  # type: ignore[attr-defined]
    wrist = Image.fromarray(scene.render_at(64, "wrist", supersample=1))  # type: ignore[attr-defined]
    frame = Image.new("RGB", (SMALL + 4, SMALL + 4), "white")
    frame.paste(wrist.resize((SMALL, SMALL), Image.Resampling.NEAREST), (2, 2))
    picture.paste(frame, (SIZE - SMALL - 8, SIZE - SMALL - 8))
    canvas = Image.new("RGB", (SIZE, SIZE + TEXT_HEIGHT), "white")
    canvas.paste(picture, (0, 0))
    text = f"“{scene.instruction}”"  # type: ignore[attr-defined]
    font = ImageFont.load_default(size=15)
    ImageDraw.Draw(canvas).text((4, SIZE + 8), text, fill="#333333", font=font)
    env.close()
    return np.asarray(canvas)


def _play(env: object, seed: int, num_steps: int | None) -> int:
    """Let the expert act for some steps, or to the end; return how many it took."""
    env.reset(seed=seed)  # type: ignore[attr-defined]
    done, count = False, 0
    while not done and (num_steps is None or count < num_steps):
        _, _, terminated, truncated, _ = env.step(Expert(env).act())  # type: ignore[attr-defined, arg-type]
        done, count = terminated or truncated, count + 1
    return count


if __name__ == "__main__":
    main(Path(sys.argv[1]))
