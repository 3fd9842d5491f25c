"""Reads the tables of a page, to hold them against the results they show."""

import re


def rows(page, heading):
    """Return the cells of every table row of a section, without emphasis."""
    section = re.split(r"\n#+ ", page.split(f"# {heading}\n")[1])[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines[2:]]
