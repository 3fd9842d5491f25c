"""Damaged datasets of other formats are converted or refused: never a traceback or a hang.

benchmarks/fuzz_converters.py does the same with as many mutants as wanted.
"""

import pytest
from fuzz_converters_fakes import FORMATS, run

COUNT, SEED = 120, 0
MAX_SECONDS, MAX_GROWN_MIB = 10, 600


@pytest.mark.parametrize("name", FORMATS)
def test_mutants_are_converted_or_refused(tmp_path, name):
    outcome = run(tmp_path / "fuzz", name, COUNT, SEED)
    assert not outcome["errors"], outcome["errors"][0]
    total = outcome["read"] + outcome["refused"] + outcome["crashes"]
    assert total == COUNT
    # Both happen; otherwise the mutations would be too mild or too harsh to find anything.
    assert outcome["read"] > 0
    assert outcome["refused"] > COUNT // 10
    assert outcome["seconds"] < MAX_SECONDS
    assert outcome["grown_mib"] < MAX_GROWN_MIB
