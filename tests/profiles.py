"""ICC profiles made by hand (ICC.1:2010), for tests of colours."""

import struct

import numpy as np

P3 = (
    (0.515102, 0.241182, -0.00105),
    (0.291965, 0.692236, 0.041882),
    (0.157153, 0.066581, 0.784378),
)
"""Display P3's red, green and blue in XYZ, adapted to D50."""
SRGB = (
    (0.436066, 0.222488, 0.013916),
    (0.385147, 0.716873, 0.097076),
    (0.143066, 0.060608, 0.714096),
)
_D50 = (0.9642, 1.0, 0.8249)


def rgb(primaries: tuple[tuple[float, float, float], ...] = P3, gamma: float = 2.2) -> bytes:
    """A display's profile of three primaries and one curve."""
    tags = {
        b"wtpt": _xyz(_D50),
        b"rTRC": _curve(gamma),
        b"gTRC": _curve(gamma),
        b"bTRC": _curve(gamma),
    }
    for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        tags[name] = _xyz(colour)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey(gamma: float) -> bytes:
    """A grey display's profile."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(_D50), b"kTRC": _curve(gamma)})


def cmyk() -> bytes:
    """A press whose inks multiply, each a little off its pure colour."""
    inks = np.array([[0.1, 0.6, 0.9], [0.9, 0.15, 0.5], [1.0, 0.9, 0.1], [0.1, 0.1, 0.1]])
    to_xyz = np.array(SRGB).T
    corners = []
    for n in range(16):
        on = [(n >> 3) & 1, (n >> 2) & 1, (n >> 1) & 1, n & 1]
        colour = np.prod(
            [ink if is_on else np.ones(3) for ink, is_on in zip(inks, on, strict=True)], 0
        )
        corners.append(_lab8(to_xyz @ colour))
    straight = bytes(range(256))
    table = (
        b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
        + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
        + straight * 4 + b"".join(corners) + straight * 3
    )  # fmt: skip
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(_D50), b"A2B0": table})


def to_srgb(colour: tuple[int, int, int], primaries=P3, gamma: float = 2.2) -> np.ndarray:
    """What a colour of `rgb` is in sRGB, by arithmetic alone."""
    linear = (
        np.linalg.inv(np.array(SRGB).T) @ np.array(primaries).T @ (np.array(colour) / 255) ** gamma
    )
    linear = linear.clip(0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return curved * 255


def _lab8(xyz: np.ndarray) -> bytes:
    f = np.cbrt(xyz / _D50)
    lab = [(116 * f[1] - 16) * 2.55, 500 * (f[0] - f[1]) + 128, 200 * (f[1] - f[2]) + 128]
    return bytes(int(v) for v in np.clip(np.rint(lab), 0, 255))


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78), **tags}
    at, entries, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        entries += struct.pack(">4sII", name, at + len(body), len(data))
        body += data
    head = (
        struct.pack(">I4sI", at + len(body), b"\0\0\0\0", 0x02400000) + kind + space + connection
        + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
        + struct.pack(">3i", *(round(v * 65536) for v in _D50)) + bytes(48)
    )  # fmt: skip
    assert len(head) == 128
    return head + struct.pack(">I", len(tags)) + entries + body
