"""Text from outside, made safe for HTML and for Plotly."""

import html
import re
from collections.abc import Sequence

from markupsafe import Markup, escape


def with_names(sentence: str, names: Sequence[str]) -> Markup:
    """Escape a sentence for HTML and set names in it apart: `late` is also a word."""
    ordered = sorted(names, key=len, reverse=True)
    pattern = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in ordered)
    parts = re.split(f"({pattern})", sentence) if names else [sentence]
    marked = [Markup("<b>{}</b>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts)]
    return Markup("").join(marked)


def breakable(name: str) -> Markup:
    """Escape a name for HTML and let lines break after its underscores and dots."""
    parts = re.split(r"(?<=[_.:])", name)
    return Markup("<wbr>").join(parts)


def plotly_text(text: str) -> str:
    """Escape text for Plotly, which reads a little HTML in labels and hover texts."""
    return html.escape(text, quote=False)
