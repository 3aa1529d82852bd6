"""Audio for the tests: base64, G.711 by the book (ITU-T G.711), and how much of a tone is where it should be.

Used by the tests that judge what the server heard and said.
Never resamples: 8 kHz input is every third sample of 24 kHz speech.
"""

from __future__ import annotations

import base64
import math
import struct

PCM_BYTES_PER_MS = 48
G711_BYTES_PER_MS = 8


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def silence(ms: int) -> bytes:
    """Silence in 24 kHz 16-bit samples."""
    return bytes(ms * PCM_BYTES_PER_MS)


def samples(pcm: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm))


def to_8k(pcm: bytes) -> list[int]:
    """24 kHz to 8 kHz, three samples averaged to one."""
    wide = samples(pcm)
    return [sum(wide[at : at + 3]) // 3 for at in range(0, len(wide) - 2, 3)]


def mu_law(values: list[int]) -> bytes:
    """G.711 µ-law bytes."""
    out = bytearray()
    for value in values:
        sign = 0x80 if value < 0 else 0
        size = min(abs(value), 32635) + 132
        exponent = size.bit_length() - 8
        out.append(~(sign | exponent << 4 | size >> exponent + 3 & 0x0F) & 0xFF)
    return bytes(out)


def from_a_law(data: bytes) -> list[int]:
    """Samples of G.711 A-law bytes."""
    out = []
    for byte in data:
        code = byte ^ 0x55
        exponent, mantissa = code >> 4 & 7, code & 0x0F
        size = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << exponent - 1
        out.append(size if code & 0x80 else -size)
    return out


def share(values: list[int], rate: int, tones: tuple[float, ...]) -> float:
    """The share of the energy that lies at `tones` Hz; all of them must fit a whole number of times."""
    total = sum(value * value for value in values)
    found = 0.0
    for tone in tones:
        step = 2 * math.pi * tone / rate
        real = sum(value * math.cos(step * at) for at, value in enumerate(values))
        imaginary = sum(value * math.sin(step * at) for at, value in enumerate(values))
        found += 2 * (real * real + imaginary * imaginary) / len(values)
    return found / total
