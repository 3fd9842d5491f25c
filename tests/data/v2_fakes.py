"""Datasets of LeRobot v2.1, made from a v3.0 one as LeRobot's own files of that time were."""

import json

import pyarrow.parquet as pq
from data_fakes import DATA, EPISODES, INFO, TASKS, edit_info

from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import LeRobotWriter
from plait.data.video import VideoWriter

DATA_V2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_V2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
CHUNKS_SIZE = 3


def write_v2(root, episodes, storage="image", version="v2.1", **info):
    """Write episodes in the older layout, three to a chunk."""
    with LeRobotWriter(root, fps=10, storage=storage) as writer:
        for episode in episodes:
            writer.add(episode)
    edit_info(
        root,
        codebase_version=version,
        chunks_size=CHUNKS_SIZE,
        data_path=DATA_V2,
        video_path=VIDEO_V2,
        total_videos=len(episodes) * len(episodes[0].images) if storage == "video" else 0,
    )
    edit_info(root, **info)
    _split_rows(root)
    if storage == "video":
        _split_videos(root, episodes)
    tasks = pq.read_table(root / TASKS).select(["task_index", "task"]).to_pylist()
    write_lines(root / "meta/tasks.jsonl", tasks)
    rows = pq.read_table(root / EPISODES, columns=["episode_index", "tasks", "length"]).to_pylist()
    write_lines(root / "meta/episodes.jsonl", rows)
    for name in (TASKS, EPISODES, "meta/stats.json"):
        (root / name).unlink()
    return LeRobotReader.open(root)


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def _file(root, template, episode, **values):
    chunk = episode // CHUNKS_SIZE
    name = template.format(episode_chunk=chunk, chunk_index=chunk, episode_index=episode, **values)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    return root / name


def _split_rows(root):
    table = pq.read_table(root / DATA)
    (root / DATA).unlink()
    index = table["episode_index"].to_numpy()
    template = json.loads((root / INFO).read_text())["data_path"]
    for episode in range(index.max() + 1):
        pq.write_table(table.filter(index == episode), _file(root, template, episode))


def _split_videos(root, episodes):
    template = json.loads((root / INFO).read_text())["video_path"]
    for camera in episodes[0].images:
        key = f"observation.images.{camera}"
        (root / f"videos/{key}/chunk-000/file-000.mp4").unlink()
        for index, episode in enumerate(episodes):
            frames = episode.images[camera]
            path = _file(root, template, index, video_key=key)
            video = VideoWriter(path, 10, *frames.shape[1:3])
            video.write(frames)
            video.close()
