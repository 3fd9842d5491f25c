"""LIBERO's names and refusals, which need none of its packages."""

import importlib.metadata

import pytest

from plait.envs import available_suites, family_of
from plait.envs.benchmark import MissingBenchmarkError, require_benchmark
from plait.envs.libero.family import RETRY_STRIDE, LiberoFamily
from plait.envs.libero.suites import NUM_TASKS, find_suite, suite_named
from plait.envs.opengl_library import NoOpenGLError, require_opengl
from plait.errors import UnknownNameError


def test_limits_are_the_public_ones() -> None:
    limits = {
        name: suite_named(name).max_steps for name in ("spatial", "object", "goal", "10", "90")
    }
    assert limits == {"spatial": 280, "object": 280, "goal": 300, "10": 520, "90": 400}
    assert suite_named("10-swap").max_steps == 520


def test_suites_and_single_tasks_have_names() -> None:
    assert {"libero/spatial", "libero/90", "libero/object-lan"} <= set(available_suites())
    assert isinstance(family_of("libero/goal-task/9"), LiberoFamily)
    assert suite_named("spatial/3").numbers == (3,)
    assert suite_named("object-object").folder == "libero_object_object"
    assert len(suite_named("90").numbers) == 90


@pytest.mark.parametrize(
    "name", ["spatial/10", "spatial/-1", "spatial/03", "spatial/", "spatial/3/4", "90-lan", ""]
)
def test_other_names_are_refused(name: str) -> None:
    assert find_suite(name) is None
    with pytest.raises(UnknownNameError):
        family_of(f"libero/{name}")


def test_a_slip_is_answered_with_what_was_meant() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'libero/spatial"):
        family_of("libero/spacial")


def test_a_second_attempt_is_of_the_same_task() -> None:
    attempts = list(LiberoFamily().attempts(17))
    assert attempts[:2] == [17, 17 + RETRY_STRIDE]
    assert all(RETRY_STRIDE % count == 0 for count in NUM_TASKS.values())


def test_demonstrations_do_not_start_from_the_states_of_evaluations() -> None:
    assert LiberoFamily().recording_options() == {"are_states_fixed": False}


def test_what_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"mujoco": "4.0.0", "there": "1.0"}

    def version(package: str) -> str:
        if package not in versions:
            raise importlib.metadata.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(MissingBenchmarkError, match=r"LIBERO is not installed; .*: pip install x"):
        require_benchmark("LIBERO", "absent", "3.3.0", "pip install x")
    with pytest.raises(MissingBenchmarkError, match=r"MuJoCo 3\.3\.0 alone, but 4\.0\.0 is"):
        require_benchmark("LIBERO", "there", "3.3.0", "pip install x")
    versions["mujoco"] = "3.3.0"
    assert require_benchmark("LIBERO", "there", "3.3.0", "pip install x") == "1.0"


def test_no_opengl_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    with pytest.raises(NoOpenGLError, match="libosmesa6"):
        require_opengl()
