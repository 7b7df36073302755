"""links.py FOLDER: every link of the site in the folder leads to a file and an anchor that are
there, and nothing that a page loads comes from elsewhere. The last line is "N passed, N failed"."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loads = set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        self.anchors.add(attributes.get("name"))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        elif tag in LOADED and attributes.get(LOADED[tag]):
            self.loads.append(attributes[LOADED[tag]])


def problems(folder, pages, path):
    page = pages[path]
    for address in page.loads:
        if urlsplit(address).netloc:
            yield f"loads {address}"
    for address in page.links + page.loads:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if target.is_dir():
            target /= "index.html"
        if not target.is_relative_to(folder) or not target.is_file():
            yield f"{address}: no such file"
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
            yield f"{address}: no such anchor"


def main():
    folder = Path(sys.argv[1]).resolve()
    # The page of a 404 is shown at any address, and names its files from the root.
    paths = [path for path in sorted(folder.rglob("*.html")) if path.name not in ("404.html", "toc.html")]
    pages = {path: Page(path) for path in paths}
    failed = 0
    for path in paths:
        found = list(problems(folder, pages, path))
        failed += bool(found)
        for problem in found:
            print(f"{path.relative_to(folder)}: {problem}")
    for style in sorted(folder.rglob("*.css")):
        for address in re.findall(r"url\(['\"]?(https?:[^)'\"]*)", style.read_text()):
            failed += 1
            print(f"{style.relative_to(folder)}: loads {address}")
    print(f"{len(paths)} pages")
    print(f"{len(paths) - failed} passed, {failed} failed")
    return bool(failed)


sys.exit(main())
