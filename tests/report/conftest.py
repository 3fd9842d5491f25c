"""Reports of fake comparisons, written once for all tests."""

from pathlib import Path

import pytest
from fake_comparison import Fake, write_fake
from page_reading import Page, read_page

from plait.report import write_report
from plait.results import Comparison, load_result


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six strategies, two controls, three tasks, two seeds, unseen combinations."""
    folder = tmp_path_factory.mktemp("comparison")
    fake = Fake(tasks=("touch", "push", "stack"), num_seeds=2, num_episodes=60, has_holdout=True)
    write_report(write_fake(folder, fake), folder / "report.html")
    return folder


@pytest.fixture(scope="session")
def comparison(folder: Path) -> Comparison:
    return load_result(folder / "results.json", Comparison)


@pytest.fixture(scope="session")
def page(folder: Path) -> Page:
    return read_page(folder / "report.html")
