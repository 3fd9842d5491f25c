"""What the README promises can be typed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
COMMANDS = re.findall(r"^plait (.+?)(?:\s+#.*)?$", README.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_is_understood(command, monkeypatch):
    import plait.cli

    ran = []
    monkeypatch.setattr(plait.cli, "_guard", lambda run: ran.append(run) or 0)
    assert plait.cli.main(shlex.split(command)) == 0
    assert len(ran) == 1


def test_every_file_the_readme_links_to_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (README.parent / link).exists(), link


def test_asking_for_help_does_not_load_torch():
    code = (
        "import sys, plait.cli\n"
        "try:\n    plait.cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'mujoco' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "compare" in done.stdout
