"""torchcodec, where it works: the same bits as PyAV; and who decodes what."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from plait.data import video
from plait.data.video import read_video, torchcodec_decoder
from plait.errors import DataError

FIXTURES = Path(__file__).parent / "fixtures"
H264 = FIXTURES / "g1_two_episodes/videos/observation.images.cam_high/chunk-000/file-000.mp4"
AV1 = FIXTURES / "g1_v21_heads/videos/chunk-000/observation.images.cam_high/episode_000000.mp4"

needs_torchcodec = pytest.mark.skipif(
    torchcodec_decoder() is None, reason="torchcodec is not installed, or finds no FFmpeg"
)


@pytest.fixture(autouse=True)
def _forget_the_choice():
    torchcodec_decoder.cache_clear()
    yield
    torchcodec_decoder.cache_clear()


@needs_torchcodec
@pytest.mark.parametrize(("path", "count"), [(H264, 161), (AV1, 20)])
def test_torchcodec_gives_the_same_bits(monkeypatch, path, count):
    theirs = list(read_video(path))
    monkeypatch.setattr(video, "torchcodec_decoder", lambda: None)
    assert len(theirs) == count
    assert np.array_equal(theirs, list(read_video(path)))


@needs_torchcodec
def test_a_damaged_file_is_explained_by_torchcodec_too(tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(H264.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"cut.mp4: cannot be decoded \("):
        list(read_video(path))


@pytest.mark.parametrize("error", [ImportError, RuntimeError, OSError])
def test_a_torchcodec_that_cannot_be_imported_is_done_without(monkeypatch, error):
    def fail(name, *_):
        if name.startswith("torchcodec"):
            raise error("no FFmpeg")
        return real(name, *_)

    real = __import__
    monkeypatch.delitem(sys.modules, "torchcodec.decoders", raising=False)
    monkeypatch.setattr("builtins.__import__", fail)
    assert torchcodec_decoder() is None
    assert len(list(read_video(AV1))) == 20


def test_torchcodec_decodes_whole_frames_and_pyav_smaller_ones(monkeypatch):
    class Decoder:
        metadata = types.SimpleNamespace(height=120, width=160)

        def __init__(self, name, **_):
            assert name == str(H264)

        def __getitem__(self, index):
            if index == 2:
                raise IndexError
            return types.SimpleNamespace(
                shape=(120, 160, 3), numpy=lambda: np.full((120, 160, 3), index, np.uint8)
            )

    decoders = types.ModuleType("torchcodec.decoders")
    decoders.VideoDecoder = Decoder
    monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", decoders)
    assert [frame.max() for frame in read_video(H264)] == [0, 1]
    assert [frame.max() for frame in read_video(H264, (120, 160), (120, 160))] == [0, 1]
    assert len(list(read_video(H264, (12, 16), (120, 160)))) == 161
    with pytest.raises(DataError, match="frames of 120×160 pixels; expected 10×10, as its dataset"):
        list(read_video(H264, None, (10, 10)))
