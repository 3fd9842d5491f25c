"""The page of an inspection."""

import numpy as np
from page_reading import read_page

from inspection_fakes import make_episode, write
from plait.cli import main


def test_the_page_holds_findings_pictures_and_numbers_and_loads_nothing(tmp_path):
    told = "<script>alert('x')</script> & co"
    episodes = [make_episode(seed, camera=np.zeros_like, instruction=told) for seed in range(5)]
    data = write(tmp_path / "data", episodes)
    assert main(["inspect", str(data), "--out", str(tmp_path / "out")]) == 0
    page = read_page(tmp_path / "out" / "report.html")
    assert page.section("findings").startswith("Findings This dataset is not sound as it is")
    first, *_ = page.rows("what-to-do")[1:]
    assert first.startswith("error | camera other | 40 of 40 frames looked at are black")
    assert f"{told} | 5 | 150" in page.rows("instructions")
    # Five strips of each camera; two actions and three states drawn.
    pictures = page.find("img")
    assert len(pictures) == 10
    assert all(picture.attributes["src"].startswith("data:image/webp") for picture in pictures)
    assert len(page.find("svg", role="img")) >= 1 + 2 + 3
    assert "linear map of the state" in page.section("copying")
    assert "<script" not in page.source
    assert "http" not in page.source.replace("http-equiv", "").replace("http://www.w3.org", "")
