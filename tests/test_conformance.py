"""Every strategy, encoder and head in its folder keeps its contract: a new file is tested too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import plait.encoders.chunks
import plait.fusion
import plait.heads
from plait import discovery
from plait.encoders.base import Encoder
from plait.encoders.chunks.base import ChunkEncoder
from plait.fusion.base import Fusion
from plait.heads.base import Head
from plait.testing import check_chunk_encoder, check_encoder, check_fusion, check_head

FUSIONS = discovery.available(plait.fusion)
SOURCE = Path(plait.fusion.__file__).parents[2]


@pytest.mark.parametrize("name", FUSIONS)
def test_fusion(name):
    check_fusion(discovery.load(plait.fusion, name, Fusion))


# Pretrained encoders need a model: tests/encoders has them, one file for each library.
FROM_SCRATCH = sorted(set(discovery.available(plait.encoders)) - set(plait.encoders.PRETRAINED))


@pytest.mark.parametrize("name", FROM_SCRATCH)
def test_encoder(name):
    check_encoder(discovery.load(plait.encoders, name, Encoder))


@pytest.mark.parametrize("name", discovery.available(plait.encoders.chunks))
def test_chunk_encoder(name):
    check_chunk_encoder(discovery.load(plait.encoders.chunks, name, ChunkEncoder))


@pytest.mark.parametrize("name", discovery.available(plait.heads))
def test_head(name):
    check_head(discovery.load(plait.heads, name, Head))


def run_python(code):
    """Run code in a process without pytest's runtime type checks, which break tracing."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_fusion_compiles_as_one_graph():
    # aot_eager traces forward and backward as one graph, and needs no C++ compiler to do so.
    done = run_python(
        "import plait.fusion\n"
        "from plait import discovery\n"
        "from plait.fusion.base import Fusion\n"
        "from plait.testing import check_fusion_compiles\n"
        "for name in discovery.available(plait.fusion):\n"
        "    kind = discovery.load(plait.fusion, name, Fusion)\n"
        "    check_fusion_compiles(kind)\n"
        "    print(name)\n"
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == FUSIONS
