"""Independent random streams, derived statelessly from one root seed."""

from __future__ import annotations

import hashlib

import numpy as np


def _sequence(seed: int, purpose: str, indices: tuple[int, ...]) -> np.random.SeedSequence:
    # hash() is salted per process; sha256 gives the same word on every machine.
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    return np.random.SeedSequence([seed, word, *indices])


def stream(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """Return the generator of (seed, purpose, indices), for example ``stream(7, "balancer", epoch)``.

    Two calls with equal arguments give equal streams; no call moves another one's stream.
    """
    return np.random.default_rng(_sequence(seed, purpose, indices))


def integer(seed: int, purpose: str, *indices: int) -> int:
    """Return a 31-bit seed of (seed, purpose, indices) for libraries that take an integer."""
    return int(_sequence(seed, purpose, indices).generate_state(1, np.uint32)[0] >> 1)
