import pytest

import plait.envs.garage as garage
from plait.envs.garage import Garage

PLENTY, LITTLE = 80, 10


class Car:
    def __init__(self, task: str) -> None:
        self.task, self.is_closed = task, False

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """Return what sets the share of the memory that is available, in per cent."""
    path = tmp_path / "meminfo"
    monkeypatch.setattr(garage, "MEMORY_FILE", path)

    def be(available: int) -> None:
        path.write_text(f"MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n")

    be(PLENTY)
    monkeypatch.setattr(garage, "CONTAINER", tmp_path / "no container")
    return be


def of(tasks: str, **limits: int) -> tuple[Garage[str, Car], list[Car]]:
    """Return a garage to which one car of each task has been given back, and the cars."""
    made = Garage(Car, **{"fewest": 0, "most": 9, "most_per_task": 2, **limits})
    cars = [Car(task) for task in tasks]
    for car in cars:
        made.give_back(car)
    return made, cars


def test_a_car_is_used_again_by_its_own_task_alone():
    made, (a, b) = of("ab")
    assert made.take("b") is b
    other = made.take("b")
    assert (other.task, other in (a, b)) == ("b", False)
    assert made.take("a") is a


def test_the_longest_idle_make_room():
    _, cars = of("abcd", most=2)
    assert [car.is_closed for car in cars] == [True, True, False, False]


def test_no_more_of_a_task_are_kept_than_are_wanted():
    made, cars = of("aaab")
    assert [car.is_closed for car in cars] == [False, False, True, False]
    assert made.take("a") is cars[0]


@pytest.mark.parametrize("is_known", [True, False])
def test_where_memory_is_short_only_the_fewest_are_kept(memory, monkeypatch, tmp_path, is_known):
    made, cars = of("abcd", fewest=2)
    assert not any(car.is_closed for car in cars)
    memory(LITTLE)
    if not is_known:
        monkeypatch.setattr(garage, "MEMORY_FILE", tmp_path / "nowhere")
    last = Car("e")
    made.give_back(last)
    assert [car.is_closed for car in (*cars, last)] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("limit", "used", "cached", "is_short"),
    [("100", 60, 0, False), ("100", 80, 0, True), ("100", 80, 20, False), ("max", 80, 0, False)],
)
def test_a_containers_limit_counts_but_not_its_copies_of_files(
    monkeypatch, tmp_path, limit, used, cached, is_short
):
    monkeypatch.setattr(garage, "CONTAINER", tmp_path)
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")
    assert garage.is_memory_short() == is_short
