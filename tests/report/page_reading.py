"""Read a page as a browser would: elements with their attributes, and the text outside scripts."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

RAW = ("script", "style")


@dataclass
class Element:
    """An element: its attributes, and all the text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page:
    """All elements of a page in the order in which they begin."""

    elements: list[Element] = field(default_factory=list)
    source: str = ""

    def find(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of a tag with the given attributes; `class_` may be one of many."""
        found = []
        for element in self.elements:
            classes = element.attributes.get("class", "").split()
            wanted = {key.rstrip("_"): value for key, value in attributes.items()}
            matches = all(
                value in classes if key == "class" else element.attributes.get(key) == value
                for key, value in wanted.items()
            )
            if element.tag == tag and matches:
                found.append(element)
        return found

    @property
    def text(self) -> str:
        """All text that is seen, with single spaces."""
        return " ".join(self.elements[0].text.split())

    @property
    def figures(self) -> dict[str, Any]:
        """What the script draws."""
        return json.loads(self.find("script", id="figures")[0].text)

    def section(self, name: str) -> str:
        """Return the text of a section, with single spaces."""
        return " ".join(self.find("section", id=name)[0].text.split())

    def row(self, section: str, arm: str) -> str:
        """Return the text of the first table row of a section that begins with an arm's name."""
        rows = self.rows(section)
        return next(row for row in rows if row.split(" | ")[0] == arm)

    def rows(self, section: str) -> list[str]:
        """Return the table rows of a section, cells separated by ` | `."""
        start = self.elements.index(self.find("section", id=section)[0])
        rows: list[list[str]] = []
        for element in self.elements[start + 1 :]:
            if element.tag == "section":
                break
            if element.tag == "tr":
                rows.append([])
            if element.tag in ("td", "th"):
                rows[-1].append(" ".join(element.text.split()))
        return [" | ".join(row) for row in rows]


class _Reader(HTMLParser):
    VOID = ("meta", "img", "source", "wbr", "br", "link", "input", "hr", "path")

    def __init__(self) -> None:
        super().__init__()
        self.page = Page([Element("document", {})])
        self.open = [self.page.elements[0]]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self.page.elements.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        assert self.open[-1].tag == tag, f"<{self.open[-1].tag}> is closed by </{tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1].tag in RAW:
            self.open[-1].text += data
            return
        for element in self.open:
            element.text += data


def read_page(path: Path) -> Page:
    """Read a page; fails where elements are not properly nested."""
    reader = _Reader()
    source = path.read_text(encoding="utf-8")
    reader.feed(source)
    reader.close()
    assert len(reader.open) == 1, "an element is not closed"
    reader.page.source = source
    return reader.page
