#!/usr/bin/env python3
"""Checks the book that mdbook has built: `check.py BUILT`.

Every chapter is in the table of contents and among the doc tests, and every link within the book leads to a page, and to an anchor on it. What a link
out of the book leads to, `tests/tidy.rs` checks. Nothing but Python's own library.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

BOOK = Path(__file__).resolve().parent
DOCS, ROOT = BOOK.parent, BOOK.parent.parent


class Page(HTMLParser):
    """The anchors of a page, and where it links to."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]


def chapters():
    """Documents that are not where they should be."""
    listed = set(re.findall(r"\]\(([^)#]+)\)", (DOCS / "SUMMARY.md").read_text()))
    tested = set(re.findall(r': "([\w/-]+)"', (ROOT / "src/book.rs").read_text()))
    for path in sorted(DOCS.glob("**/*.md")):
        name = path.relative_to(DOCS).as_posix()
        if name != "SUMMARY.md" and name not in listed:
            yield f"docs/{name} is not in docs/SUMMARY.md"
        if path.parent == BOOK and name.removesuffix(".md") not in tested:
            yield f"docs/{name} is not in src/book.rs"


def links(built):
    """Links that lead nowhere."""
    # `print.html` repeats all others, and `404.html` is found under any address.
    paths = [path for path in built.glob("**/*.html") if path.name not in ("print.html", "404.html", "toc.html")]
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in paths}
    for path, page in sorted(pages.items()):
        for link in page.links:
            target = urlsplit(link)
            there = (path.parent / unquote(target.path)).resolve() if target.path else path
            if target.scheme or target.netloc or not there.is_relative_to(built):
                continue
            anchor = unquote(target.fragment)
            if not there.exists() or anchor and there in pages and anchor not in pages[there].anchors:
                yield f"{path.relative_to(built)}: {link}"


def main():
    built = Path(sys.argv[1]).resolve()
    findings = [*chapters(), *links(built)]
    sys.exit("\n".join(findings) if findings else 0)


main()
