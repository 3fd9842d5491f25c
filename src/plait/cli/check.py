"""`plait check`."""

from dataclasses import asdict, dataclass

from tyro.conf import Positional

from plait.cli.options import print_json, to_stderr


@dataclass(frozen=True, kw_only=True)
class Check:
    """Check that a fusion, encoder or head keeps its contract, e.g. one of your own."""

    name: Positional[str]
    """A name of `plait list`, or module:Class."""
    json: bool = False
    """Print as JSON."""

    def run(self) -> None:
        """Run the conformance kit and print how many checks were passed."""
        from plait.testing.by_name import check_by_name

        checked = check_by_name(self.name)
        if self.json:
            print_json(asdict(checked))
        else:
            to_stderr(f"{checked.name}: this {checked.kind} passes all {checked.num_checks} checks")
