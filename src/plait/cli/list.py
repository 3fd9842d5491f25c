"""`plait list`."""

from dataclasses import dataclass

from plait.cli.options import print_summary


@dataclass(frozen=True, kw_only=True)
class List:
    """List the strategies, encoders, heads and environments there are."""

    json: bool = False
    """Print as JSON."""

    def run(self) -> None:
        """Print the names by kind."""
        import plait.alignment.objectives
        import plait.encoders.chunks
        import plait.fusion
        import plait.heads
        from plait.discovery import available
        from plait.envs import available_suites

        names = {
            "fusion": available(plait.fusion),
            "encoders": available(plait.encoders),
            "action encoders": available(plait.encoders.chunks),
            "alignment objectives": available(plait.alignment.objectives),
            "heads": available(plait.heads),
            "environments": list(available_suites()),
        }
        print_summary(names, as_json=self.json)
