"""Bytes that are nearly right: an honest answer, and what hypothesis does to it."""

from __future__ import annotations

from hypothesis import strategies as st

_EXTREMES = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\x10\0\0",
    b"\0\0\0\1",
    b"\n",
    b"\0",
]


@st.composite
def damaged(draw: st.DrawFn, honest: bytes) -> bytes:
    """``honest`` with up to four changes: bytes flipped, numbers made extreme, pieces cut out, doubled or put in."""
    data = bytearray(honest)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "extreme", "cut", "double", "insert", "end"])):
            case "flip" if at < len(data):
                data[at] ^= draw(st.integers(1, 255))
            case "extreme":
                extreme = draw(st.sampled_from(_EXTREMES))
                data[at : at + len(extreme)] = extreme
            case "cut":
                del data[at : at + draw(st.integers(1, 16))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 64))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=16))
            case "end":
                del data[at:]
    return bytes(data)
