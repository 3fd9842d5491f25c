"""`plait convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from plait.cli.options import names, print_summary

if TYPE_CHECKING:
    from plait.data.convert.run import Conversion


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Convert a dataset of another format to LeRobot v3, leaving the source as it is."""

    source: Positional[Path]
    """File or folder to convert."""
    out: Positional[Path]
    """Folder of the dataset; an interrupted conversion goes on in it."""
    fps: int | None = None
    """Steps a second; needed where the source does not say: RLDS, HDF5 and Zarr."""
    format: str | None = None
    """Format of the source; told from what stands there by default."""
    split: str | None = None
    """Split of the source; train by default."""
    cameras: str | None = None
    """Cameras to take, separated by commas; all by default."""
    state: str | None = None
    """What makes up the state, by the source's names, separated by commas."""
    action: str | None = None
    """What makes up the action, by the source's names, separated by commas."""
    instruction: str | None = None
    """The command of all episodes, where the source has none, or instead of its own."""
    orientation: str = "raw"
    """raw, rot180 (as OpenVLA and others turn LIBERO's images) or vflip (undoes OpenGL's)."""
    shift_observations: bool = False
    """Pair each action with the observation before it: LIBERO stores the one after."""
    drop_first: bool = False
    """Leave out every episode's first step: Bridge's first action is zero."""
    swap_colors: bool = False
    """Swap red and blue: some ALOHA recordings hold BGR."""
    image_size: int | None = None
    """Height and width to average images down to in pixels; as they are by default."""
    storage: str = "image"
    """image (PNG, lossless) or video (h264)."""
    workers: int | None = None
    """Processes; one a core by default."""
    json: bool = False
    """Print a summary as JSON."""

    def run(self) -> None:
        """Convert, with a progress bar, and print what was made."""
        from plait.compare.console import progress_bar
        from plait.compare.workers import worker_count
        from plait.data.convert.run import convert
        from plait.data.convert.summary import summarize

        num_workers = worker_count(self.workers)
        with progress_bar(f"convert {self.source.name}", 1) as show:
            convert(self.conversion(), num_workers=num_workers, on_progress=show)
        print_summary(summarize(self.out), as_json=self.json)

    def conversion(self) -> "Conversion":
        """Return what is to be done."""
        from plait.data.convert.adjust import Adjustments
        from plait.data.convert.base import Selection
        from plait.data.convert.run import Conversion

        return Conversion(
            path=self.source,
            root=self.out,
            fps=self.fps,
            format=self.format,
            selection=Selection(
                cameras=names(self.cameras) or (),
                state=names(self.state) or (),
                action=names(self.action) or (),
                instruction=self.instruction,
                split=self.split,
            ),
            adjustments=Adjustments(
                orientation=self.orientation,
                shift_observations=self.shift_observations,
                drop_first=self.drop_first,
                image_size=self.image_size,
                swap_colors=self.swap_colors,
            ),
            storage=self.storage,
        )
