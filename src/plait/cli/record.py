"""`plait record`."""

from dataclasses import dataclass
from pathlib import Path

from plait.cli.options import names, print_summary


@dataclass(frozen=True, kw_only=True)
class Record:
    """Record demonstrations of the scripted expert as a LeRobot v3 dataset."""

    env: str = "tabletop/pick"
    """Environment id, e.g. tabletop/pick."""
    episodes: int = 100
    """Episodes to record."""
    out: Path
    """Folder of the dataset; an interrupted recording goes on in it."""
    noise: float | None = None
    """Share of the steps with injected noise, so that recoveries are seen; what is usual in the
    environment by default."""
    cameras: str | None = None
    """Cameras to record, separated by commas; those that the environment shows by default."""
    image_size: int | None = None
    """Height and width of the images in pixels; what is usual in the environment by default."""
    storage: str = "image"
    """image (PNG, lossless) or video (h264)."""
    seed: int = 0
    """Seed of the first scene."""
    render: str | None = None
    """Where the environment knows several ways of taking pictures: opengl, or raycast without."""
    workers: int | None = None
    """Processes; one a core by default."""
    json: bool = False
    """Print a summary as JSON."""

    def run(self) -> None:
        """Record, with a progress bar."""
        from plait.compare.demonstrations import record_demonstrations

        summary = record_demonstrations(
            self.env,
            self.out,
            num_episodes=self.episodes,
            noise=self.noise,
            cameras=names(self.cameras) or (),
            image_size=self.image_size,
            storage=self.storage,
            seed=self.seed,
            num_workers=self.workers,
            render=self.render,
        )
        print_summary(summary, as_json=self.json)
