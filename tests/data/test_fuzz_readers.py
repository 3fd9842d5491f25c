"""Damaged datasets are read or refused in a sentence: never a traceback, a hang or a crash.

benchmarks/fuzz_readers.py does the same with as many mutants as wanted.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "fuzz_fakes.py"
COUNT, SEED = 250, 0
MAX_SECONDS, MAX_GROWN_MIB = 10, 300


@pytest.mark.parametrize("storage", ["image", "video"])
@pytest.mark.parametrize("layout", ["v2.1", "v3.0"])
def test_mutants_are_read_or_refused(tmp_path, layout, storage):
    command = [sys.executable, str(SCRIPT), str(tmp_path), layout, storage, str(COUNT), str(SEED)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    last = tmp_path / "last.txt"
    assert done.returncode == 0, f"{last.read_text() if last.exists() else ''}\n{done.stderr}"
    outcome = json.loads(done.stdout)
    assert not outcome["errors"], outcome["errors"][0]
    # Both happen; otherwise the mutations would be too mild or too harsh to find anything.
    assert outcome["read"] > COUNT // 10
    assert outcome["refused"] > COUNT // 10
    assert outcome["seconds"] < MAX_SECONDS, outcome["slowest"]
    assert outcome["grown_mib"] < MAX_GROWN_MIB
