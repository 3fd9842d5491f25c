"""Gusts: as often and as long as asked for, the same for the same seed."""

import numpy as np
import pytest

from plait.envs.gusts import Gusts

KIND = {"scale": 0.6, "shortest": 3, "longest": 10}


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_gusts_disturb_the_wanted_share_of_the_steps(share):
    gusts = Gusts(share, np.random.default_rng(0), **KIND)
    action = np.array([0.1, -0.2, 0.0, 0.7], np.float32)
    done = np.stack([gusts(action) for _ in range(20_000)])
    disturbed = (done[:, :3] != action[:3]).any(axis=1)
    assert disturbed.mean() == pytest.approx(share, abs=0.02)
    assert (done[:, 3] == action[3]).all()
    assert np.abs(done).max() <= 1
    again = Gusts(share, np.random.default_rng(0), **KIND)
    np.testing.assert_array_equal(np.stack([again(action) for _ in range(100)]), done[:100])


def test_a_gust_lasts():
    gusts = Gusts(0.2, np.random.default_rng(1), **KIND)
    pushes = np.stack([gusts(np.zeros(4, np.float32)) for _ in range(5_000)])[:, 0]
    changes = np.flatnonzero(np.diff(pushes) != 0)
    lengths = np.diff(changes)[pushes[changes[:-1] + 1] != 0]
    assert lengths.min() >= KIND["shortest"]
    # Two in a row may look like one only if they push alike, which chance does not do.
    assert lengths.max() <= KIND["longest"]
