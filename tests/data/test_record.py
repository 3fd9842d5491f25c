"""Recording: the same bytes whatever the workers and interruptions, and nothing half done."""

import errno
import multiprocessing
import os
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_fakes import EPISODES, Episodes, full_disk, make_episode, tree

from plait.data import process_map as process_map_module
from plait.data import record as record_module
from plait.data.lerobot import writer as lerobot_writer
from plait.data.lerobot.reader import LeRobotReader
from plait.data.process_map import process_map
from plait.data.record import Recording, record
from plait.errors import DataError, OptionError, OutputError, PlaitError

FAILING = (2, 3, 11, 17)


def recording(folder, name="set", *, num_episodes=20, settings=None, **options):
    log = folder / f"{name}.log"
    log.mkdir(exist_ok=True)
    episodes = Episodes(
        log, failing=options.pop("failing", FAILING), deadly=options.pop("deadly", 0.5)
    )
    return Recording(episodes, settings or {}, folder / name, num_episodes, **options)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A recording that nothing disturbed, as every other must be."""
    folder = tmp_path_factory.mktemp("record")
    record(recording(folder))
    return folder / "set"


def test_the_first_seeds_that_succeed_are_kept_in_order(unbroken):
    reader = LeRobotReader.open(unbroken)
    seeds = [seed for seed in range(24) if seed not in FAILING]
    episodes = [make_episode(seed) for seed in seeds]
    assert np.array_equal(reader.action, np.concatenate([e.action for e in episodes]))
    firsts = reader.task_index[reader.episode_bounds[:, 0]]
    assert [reader.tasks[task] for task in firsts] == [e.instruction for e in episodes]
    table = pq.read_table(unbroken / EPISODES)
    assert table["tasks"].to_pylist() == [[e.instruction] for e in episodes]
    frames = np.stack(list(reader.frames("wrist")))
    assert np.array_equal(frames, np.concatenate([e.images["wrist"] for e in episodes]))


def test_nothing_but_the_dataset_remains(unbroken):
    assert sorted(path.name for path in unbroken.parent.iterdir()) == ["set", "set.log"]
    assert sorted(path.name for path in unbroken.iterdir()) == ["data", "meta"]


def test_every_seed_is_made_once_and_few_in_vain(unbroken):
    calls = sorted(int(p.name.split("-")[0]) for p in (unbroken.parent / "set.log").iterdir())
    assert calls == list(range(len(calls)))
    # 24 seeds are needed; a shard more may be begun.
    assert 24 <= len(calls) <= 26


def test_two_processes_write_the_same_bytes(tmp_path, unbroken):
    record(recording(tmp_path), num_workers=2)
    assert tree(tmp_path / "set") == tree(unbroken)


def test_the_first_seed_can_be_chosen(tmp_path):
    record(recording(tmp_path, num_episodes=2, seed=1))
    actions = LeRobotReader.open(tmp_path / "set").action
    assert np.array_equal(actions, np.concatenate([make_episode(1).action, make_episode(4).action]))


def test_video_can_be_recorded(tmp_path):
    made = Recording(even_episode, {}, tmp_path / "set", 3, storage="video", fps=5)
    record(made)
    reader = LeRobotReader.open(tmp_path / "set")
    assert reader.fps == 5
    assert reader.source_files("base")[0].suffix == ".mp4"
    assert len(list(reader.frames("base"))) == len(reader.action) == 24


def even_episode(seed):
    return make_episode(seed, size=(16, 32))


def test_progress_counts_successes_to_the_end(tmp_path):
    seen = []
    record(recording(tmp_path), on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert 20 <= seen[-1] <= 22


class Interrupting(Episodes):
    def __call__(self, seed):
        if seed == self.deadly:
            raise KeyboardInterrupt
        return super().__call__(seed)


def test_an_interrupted_recording_goes_on_where_it_was(tmp_path, unbroken):
    made = recording(tmp_path)
    stopped = Interrupting(made.make_episode.log, failing=FAILING, deadly=13)
    with pytest.raises(KeyboardInterrupt):
        record(Recording(stopped, {}, made.root, 20))
    assert not made.root.exists()
    message = "Its recording was interrupted: run it again"
    with pytest.raises(DataError, match=f"set: no such folder.*{message}"):
        LeRobotReader.open(made.root)
    made.root.mkdir()
    with pytest.raises(DataError, match=f"meta/info.json: no such file.*{message}"):
        LeRobotReader.open(made.root)
    seen = []
    record(made, on_progress=seen.append)
    assert tree(made.root) == tree(unbroken)
    # Shards have two seeds: only the seed of the torn shard, 12, was made twice.
    calls = made.make_episode.calls()
    assert [seed for seed in set(calls) if calls.count(seed) > 1] == [12]
    # Seeds 0 to 11 but for the three that failed.
    assert seen[0] == 9


def test_a_killed_process_loses_nothing_that_is_done(tmp_path, unbroken):
    made = recording(tmp_path, deadly=9)
    with pytest.raises(
        PlaitError, match=r"worker process ended unexpectedly \(exit code -9.*same command"
    ):
        record(made, num_workers=2)
    assert not made.root.exists()
    done = len(list(made.shards.glob("seeds-*.npz")))
    assert done >= 1
    record(made, num_workers=2)
    assert tree(made.root) == tree(unbroken)
    assert not made.shards.exists()


def test_a_torn_shard_is_made_again(tmp_path, unbroken, monkeypatch):
    made = recording(tmp_path)
    monkeypatch.setattr(record_module, "_write_dataset", stop)
    with pytest.raises(KeyboardInterrupt):
        record(made)
    monkeypatch.undo()
    shards = sorted(made.shards.glob("seeds-*.npz"))
    content = shards[3].read_bytes()
    shards[3].write_bytes(content[: len(content) // 2])
    shards[5].write_bytes(b"")
    record(made)
    assert tree(made.root) == tree(unbroken)


def stop(*_):
    raise KeyboardInterrupt


def test_other_settings_do_not_mix(tmp_path, monkeypatch):
    monkeypatch.setattr(record_module, "_write_dataset", stop)
    with pytest.raises(KeyboardInterrupt):
        record(recording(tmp_path, settings={"noise": 0.1}))
    with pytest.raises(OutputError, match=r'other settings \({"noise": 0.1, "seed": 0}\); delete'):
        record(recording(tmp_path, settings={"noise": 0.2}))
    with pytest.raises(OutputError, match="other settings"):
        record(recording(tmp_path, settings={"noise": 0.1}, seed=1))


def test_a_foreign_folder_is_never_touched(tmp_path):
    (tmp_path / "set.recording").mkdir()
    (tmp_path / "set.recording/thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"set.recording is needed .* holds other files"):
        record(recording(tmp_path))
    assert tree(tmp_path / "set.recording") == {"thesis.txt": b"mine"}


def test_an_existing_dataset_is_never_touched(tmp_path, unbroken):
    before = tree(unbroken)
    again = Recording(Episodes(tmp_path), {}, unbroken, 20)
    with pytest.raises(OutputError, match="already exists"):
        record(again)
    assert tree(unbroken) == before
    assert not list(tmp_path.iterdir())


def test_an_expert_that_never_succeeds_is_stopped(tmp_path):
    with pytest.raises(
        DataError, match="only 0 of 20 episodes succeeded; expected 20 in at most 60"
    ):
        record(recording(tmp_path, failing=range(1000)))


def test_an_expert_that_mostly_fails_is_stopped(tmp_path):
    made = recording(tmp_path, num_episodes=5, failing=[s for s in range(999) if s % 5])
    with pytest.raises(
        DataError, match="only 3 of 15 episodes succeeded; expected 5 in at most 15"
    ):
        record(made)


def test_one_failure_is_no_reason_to_stop(tmp_path):
    made = recording(tmp_path, num_episodes=1, failing=[0])
    record(made)
    assert np.array_equal(LeRobotReader.open(made.root).action, make_episode(1).action)
    assert made.make_episode.calls() == [0, 1]


def test_nothing_to_record_is_refused(tmp_path):
    with pytest.raises(OptionError, match="number of episodes is 0, but must be at least 1"):
        record(recording(tmp_path, num_episodes=0))


def test_a_full_disk_is_one_sentence_and_can_be_gone_on_from(tmp_path, unbroken):
    made = recording(tmp_path)
    with full_disk(5000), pytest.raises(OutputError, match=r"cannot write .*npz: File too large"):
        record(made)
    assert not made.root.exists()
    record(made)
    assert tree(made.root) == tree(unbroken)


def test_a_full_disk_at_the_very_end_keeps_the_shards(tmp_path, unbroken, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    made = recording(tmp_path)
    monkeypatch.setattr(lerobot_writer, "write_stats", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        record(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.log", "set.recording"]
    monkeypatch.undo()
    calls = made.make_episode.calls()
    record(made)
    assert made.make_episode.calls() == calls
    assert tree(made.root) == tree(unbroken)


def test_a_bad_episode_names_its_seed(tmp_path):
    made = Recording(nan_episode, {}, tmp_path / "set", 4)
    with pytest.raises(DataError, match="episode of seed 2: action at step 3 is not finite"):
        record(made)


def nan_episode(seed):
    episode = make_episode(seed)
    if seed == 2:
        episode.action[3, 1] = np.nan
    return episode


# The processes themselves


def square(item):
    return item * item


def refuse(item):
    raise DataError("file", f"item {item}", "none")


def crash(item):
    raise ZeroDivisionError(f"item {item}")


def leave(item):
    os._exit(3)


def test_processes_share_the_work():
    assert sorted(process_map(square, range(11), 2)) == [item * item for item in range(11)]


def test_no_item_needs_no_process():
    assert list(process_map(square, [], 2)) == []


def test_leaving_the_loop_stops_the_processes():
    """As Ctrl-C does: what is being made is dropped, at once."""
    results = process_map(sleep, [0, 60, 60], 2)
    assert next(results) == 0
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 10
    assert not multiprocessing.active_children()


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def test_a_death_before_the_next_item_is_explained(monkeypatch):
    """Sending to a dead process must not end in a broken pipe."""
    send = process_map_module._send

    def send_late(connection, item):
        if item == 1:
            for process in multiprocessing.active_children():
                process.kill()
                process.join()
        send(connection, item)

    monkeypatch.setattr(process_map_module, "_send", send_late)
    results = process_map(square, [0, 1], 1)
    assert next(results) == 0
    with pytest.raises(PlaitError, match=r"ended unexpectedly \(exit code -9"):
        next(results)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (refuse, PlaitError, "^file: item 5; expected none$"),
        (crash, RuntimeError, "ZeroDivisionError: item 5"),
        (leave, PlaitError, r"ended unexpectedly \(exit code 3.*run the same command"),
    ],
)
def test_errors_of_a_process_reach_the_caller(function, error, message):
    with pytest.raises(error, match=message):
        list(process_map(function, [5], 1))
