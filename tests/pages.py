"""Pages of HTML, taken apart: their elements, texts, curves and pictures."""

import base64
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a page holds: its elements with their section, and the text of each section."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open, self._section = [], {"": ""}, [], ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "section":
            self._section = attributes["id"]
            self.texts[self._section] = ""
        self.elements.append((self._section, tag, attributes))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((self._section, tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, text):
        if not self._open or self._open[-1] != "style":
            self.texts[self._section] += f"{text} "

    def of(self, section, tag, **attributes):
        """The elements of a section with a tag and attributes."""
        wanted = {key.replace("_", "-").rstrip("-"): value for key, value in attributes.items()}
        return [
            found for place, kind, found in self.elements
            if place == section and kind == tag and all(found.get(key) == value for key, value in wanted.items())
        ]  # fmt: skip

    def curves(self, section):
        """[(name, points of each piece)] of a section's charts."""
        found = []
        for place, tag, attributes in self.elements:
            if place == section and "data-curve" in attributes:
                found.append((attributes["data-curve"], []))
            elif place == section and tag == "polyline":
                found[-1][1].append([tuple(map(float, point.split(","))) for point in attributes["points"].split()])
        return found

    def is_self_contained(self):
        assert not [
            tag for _, tag, _ in self.elements if tag in ("script", "link", "iframe", "object", "base", "image")
        ]
        for _, tag, attributes in self.elements:
            assert not [name for name in attributes if name.startswith("on")]
            assert attributes.get("href", "#").startswith("#")
            if tag == "img":
                assert attributes["src"].startswith("data:image/png;base64,") and attributes["alt"]
            assert "url(" not in attributes.get("style", "")
        policy = self.of("", "meta", http_equiv="Content-Security-Policy")
        assert [attributes["content"][:20] for attributes in policy] == ["default-src 'none'; "]


def page_of(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 2_000_000
    assert not re.search(r"https?:|@import|url\(", text)
    page = Page(text)
    page.is_self_contained()
    return page


def pixels(source):
    """The pixels of a PNG without filters, from the address of its data."""
    content = base64.b64decode(source.partition(",")[2])
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    place, chunks = 8, {}
    while place < len(content):
        (length,), kind = struct.unpack(">I", content[place : place + 4]), content[place + 4 : place + 8]
        chunks[kind] = content[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack(">I", content[place + 8 + length : place + 12 + length])
        assert checksum == zlib.crc32(kind + chunks[kind])
        place += 12 + length
    assert [name for name in chunks if name != b"PLTE"] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0])
    channels = {0: 1, 2: 3, 3: 1}[colour]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert not rows[:, 0].any()
    found = rows[:, 1:].reshape(height, width, channels)
    if colour == 3:
        return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)[found[..., 0]]
    return found[..., 0] if channels == 1 else found
