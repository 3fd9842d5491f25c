"""Copy the `results.json` of a command into `docs/results/`, without this machine's paths.

    python scripts/publish_results.py outputs/compare/results.json default_comparison

What the docs claim then stands beside them, number by number.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from plait.results import write_text_atomically

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
ABSOLUTE = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)*([\w.+-]+)")


def main() -> None:
    """Publish one file."""
    source, name = sys.argv[1:]
    data = without_paths(json.loads(Path(source).read_text(encoding="utf-8")))
    data["machine"]["platform"] = data["machine"]["platform"].partition("-")[0]
    target = RESULTS / f"{name}.json"
    write_text_atomically(target, json.dumps(data, indent=1, allow_nan=False) + "\n")
    sys.stdout.write(f"{target}\n")


def without_paths(value: Any) -> Any:
    """Keep of every absolute path its last part."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    return ABSOLUTE.sub(r"\1", value) if isinstance(value, str) else value


if __name__ == "__main__":
    main()
