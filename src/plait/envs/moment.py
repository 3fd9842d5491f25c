"""How a scene looks at one moment, kept so that pictures of it can be taken later."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import mujoco
import numpy as np

# What geoms, sites, lights and cameras are drawn from: after a step these are not where a new
# computation from the joints would put them, but where they were before its last part.
POSES = (
    *("xpos", "xquat", "xmat", "xipos", "ximat", "geom_xpos", "geom_xmat", "site_xpos"),
    *("site_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir"),
)
# Benchmarks change these while an episode lasts: a burner glows.
COLOURS = ("geom_rgba", "site_rgba", "mat_rgba")


@dataclass(frozen=True)
class Moment:
    """Poses and colours of everything that is drawn, a few kilobytes.

    Tendons, skins and flexible bodies are left out.

    Attributes:
        poses: Arrays of `mujoco.MjData`, by name.
        colours: Arrays of `mujoco.MjModel`, by name.
    """

    poses: Mapping[str, np.ndarray]
    colours: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, model: mujoco.MjModel, data: mujoco.MjData) -> "Moment":
        """Keep how a scene looks now."""
        return cls(
            {name: getattr(data, name).copy() for name in POSES},
            {name: getattr(model, name).copy() for name in COLOURS},
        )

    @contextmanager
    def recalled(self, model: mujoco.MjModel, data: mujoco.MjData) -> Iterator[None]:
        """Let the scene look as it did for as long as this lasts."""
        now = Moment.of(model, data)
        self._write(model, data)
        try:
            yield
        finally:
            now._write(model, data)

    def _write(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        for name, values in self.poses.items():
            getattr(data, name)[:] = values
        for name, values in self.colours.items():
            getattr(model, name)[:] = values
