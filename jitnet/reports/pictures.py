"""Arrays as small pictures in a page: PNG in the page itself, and the colours of numbers."""

import base64
import struct
import zlib

import numpy as np

from jitnet.reports.text import escaped

LARGEST = 64  # pixels of a side that a page shows

# from dark violet to yellow, of even steps to the eye and for all kinds of colour vision
_ANCHORS = np.array(
    [
        (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
        (170, 220, 50), (253, 231, 37),
    ],
    np.float64,
)  # fmt: skip
_LEVELS = 64
_PLACES = np.linspace(0, len(_ANCHORS) - 1, _LEVELS)
RISING = np.stack([np.interp(_PLACES, range(len(_ANCHORS)), c) for c in _ANCHORS.T], axis=1).round().astype(np.uint8)
_NEGATIVE, _ZERO, _POSITIVE = (np.array(rgb, np.float64) for rgb in ((0, 90, 160), (247, 247, 247), (190, 70, 0)))


def png(pixels: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """A PNG of pixels (H, W, 3) red, green, blue, or (H, W) grey or numbers of a palette (colours, 3); uint8."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    kind = 3 if palette is not None else 2 if pixels.ndim == 3 else 0
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", palette.tobytes()))
    chunks += [(b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def image(pixels: np.ndarray, said: str, palette: np.ndarray | None = None) -> str:
    """An element of the page with the picture in it; said: what it shows, in words."""
    height, width = pixels.shape[:2]
    data = base64.b64encode(png(pixels, palette)).decode()
    return f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="{escaped(said)}">'


def shrunk(values: np.ndarray) -> np.ndarray:
    """Values (H, W, ...) as means of squares, so that no side is longer than ``LARGEST``; small ones as they are."""
    factor = -(-max(values.shape[:2]) // LARGEST)
    if factor == 1:
        return values
    height, width = (max(1, length // factor) for length in values.shape[:2])
    down, across = min(factor, values.shape[0]), min(factor, values.shape[1])
    cut = np.asarray(values[: height * down, : width * across], np.float64)
    return cut.reshape(height, down, width, across, *values.shape[2:]).mean(axis=(1, 3))


def photograph(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values (H, W, 1 or 3), of which ``low`` is black and ``high`` white, as pixels."""
    scaled = np.nan_to_num((np.asarray(shrunk(values), np.float64) - low) / ((high - low) or 1.0))
    pixels = np.round(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def rising(values: np.ndarray) -> np.ndarray:
    """Values (H, W) as numbers of the palette ``RISING``, from their lowest to their highest."""
    values = np.nan_to_num(np.asarray(values, np.float64))
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) if high > low else np.zeros(values.shape)
    return np.round(share * (_LEVELS - 1)).astype(np.uint8)


def signed(values: np.ndarray, largest: float) -> np.ndarray:
    """Values (H, W) as colours: blue from ``-largest``, white at 0, orange to ``largest``."""
    share = np.clip(np.nan_to_num(np.asarray(values, np.float64)) / (largest or 1.0), -1, 1)[..., None]
    ends = np.where(share < 0, _NEGATIVE, _POSITIVE)
    return np.round(_ZERO + np.abs(share) * (ends - _ZERO)).astype(np.uint8)
