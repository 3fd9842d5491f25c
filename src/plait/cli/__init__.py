"""The command line: thin, one command a file.

A command reads options, calls Plait and prints a table; errors that a user can act on become one
clear sentence and exit code 2.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import tyro
from tyro.conf import subcommand

from plait.cli.align import Align
from plait.cli.check import Check
from plait.cli.compare import Compare
from plait.cli.convert import Convert
from plait.cli.evaluate import Evaluate
from plait.cli.inspect import Inspect
from plait.cli.list import List
from plait.cli.options import to_stderr
from plait.cli.record import Record
from plait.cli.report import Report
from plait.cli.stress import Stress
from plait.cli.train import Train
from plait.cli.transfer import Transfer
from plait.errors import user_error_text

USER_ERROR = 2
INTERRUPTED = 130

Command = (
    Annotated[Compare, subcommand("compare")]
    | Annotated[Record, subcommand("record")]
    | Annotated[Convert, subcommand("convert")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Align, subcommand("align")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Stress, subcommand("stress")]
    | Annotated[Transfer, subcommand("transfer")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Inspect, subcommand("inspect")]
    | Annotated[Check, subcommand("check")]
    | Annotated[List, subcommand("list")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = tyro.cli(
        Command,
        prog="plait",
        description="Weave vision, language and action into one robot policy.",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return _guard(command.run)


def _guard(run: Callable[[], int | None]) -> int:
    """Turn what a user can act on into one sentence; let bugs keep their traceback."""
    try:
        return run() or 0
    except KeyboardInterrupt as stop:
        to_stderr(f"plait: {str(stop) or 'stopped; run the same command again to go on'}")
        return INTERRUPTED
    except Exception as error:
        text = user_error_text(error)
        if text is None:
            raise
        to_stderr(f"plait: {text}")
        return USER_ERROR
