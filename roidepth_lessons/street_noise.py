"""Noise for textures: a hash of whole numbers, and what is made from it.

It is a function of a place in the world, not of a pixel, so a texture stays where it is when the image gets larger.
"""

import functools

import numpy as np


def hash_noise(a, b, c):
    """Noise in [0, 1) for points (a, b, c) of the integer lattice: arrays of int32, c may be an int."""
    value = a.view(np.uint32) * np.uint32(374761393) + b.view(np.uint32) * np.uint32(668265263)
    if isinstance(c, np.ndarray):
        value += c.view(np.uint32) * np.uint32(2147483629)
    else:
        value += np.uint32(c * 2147483629 & 0xFFFFFFFF)
    value ^= value >> np.uint32(13)
    value *= np.uint32(1274126177)
    value ^= value >> np.uint32(16)
    return (value & np.uint32(0xFFFF)).astype(np.float32) * np.float32(1 / 65536)


@functools.cache
def noise_tile():
    """(128, 128) noise, for where a period of 128 does no harm: a look-up is several times faster than a hash."""
    across = np.arange(128, dtype=np.int32)
    return hash_noise(across[:, None] + np.zeros_like(across), across, 3)


def tiled_noise(a, b, shift):
    """Noise in [0, 1) for points (a, b) of the integer lattice, with period 128."""
    return noise_tile().reshape(-1).take(((a + shift) & 127) << 7 | (b + (shift >> 7)) & 127)


def lattice(values):
    """The point of the integer lattice below each value, as int32."""
    return np.floor(values).astype(np.int32)


def smooth_noise(a, b, salt):
    """Value noise: random values on a lattice, blended in between."""
    i, j = lattice(a), lattice(b)
    p, q = a - i.astype(np.float32), b - j.astype(np.float32)
    p, q = p * p * (3 - 2 * p), q * q * (3 - 2 * q)
    top, bottom = tiled_noise(i, j, salt), tiled_noise(i, j + 1, salt)
    top += p * (tiled_noise(i + 1, j, salt) - top)
    bottom += p * (tiled_noise(i + 1, j + 1, salt) - bottom)
    return top + q * (bottom - top)
