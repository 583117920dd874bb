"""Seeks PyTorch's generator to any word of its stream, without drawing the words before it.

A word of MT19937 is a linear function of the state over GF(2). The state after n words is p(T) of the state, where T makes one word
and p is t^n modulo T's characteristic polynomial, which Tests/Derivations/mt19937_jump.py derives. Polynomials are integers, bit i
the coefficient of t^i.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[3] / "Tests" / "Derivations"))
import mt19937_jump as twister

_PLACE = slice(24, 24 + 8 * twister.N)
_SPREAD = [int("0".join(f"{byte:08b}"), 2).to_bytes(2, "little") for byte in range(256)]
_POLYNOMIAL = twister.closed_form()
_TERMS = [exponent for exponent in range(twister.DEGREE) if _POLYNOMIAL >> exponent & 1]


def _reduced(polynomial: int) -> int:
    while (high := polynomial >> twister.DEGREE) != 0:
        polynomial &= (1 << twister.DEGREE) - 1
        for exponent in _TERMS:
            polynomial ^= high << exponent
    return polynomial


def _power(exponent: int) -> int:
    """t to the exponent."""
    power = 1
    for bit in f"{exponent:b}":
        data = power.to_bytes((power.bit_length() + 7) // 8, "little")
        power = int.from_bytes(b"".join(_SPREAD[byte] for byte in data), "little")
        power = _reduced(power << int(bit))
    return power


def seek(seed: int, word: int) -> None:
    """Sets the default generator to its state after ``torch.manual_seed(seed)`` and ``word`` 32-bit words."""
    torch.manual_seed(seed)
    state = torch.get_rng_state()
    window = state.numpy()[_PLACE].view(np.uint64)
    initial = [int(value) for value in window]
    words = np.array(initial + _following(initial, twister.DEGREE), np.uint64)
    result = np.zeros(twister.N, np.uint64)
    for index, bit in enumerate(reversed(f"{_power(word):b}")):
        if bit == "1":
            result ^= words[index:index + twister.N]
    window[:] = result
    torch.set_rng_state(state)


def _following(words: list[int], count: int) -> list[int]:
    """The next ``count`` words of the recurrence after a state of 624."""
    words = list(words)
    for k in range(count):
        y = words[k] & 0x80000000 | words[k + 1] & 0x7FFFFFFF
        words.append(words[k + twister.M] ^ y >> 1 ^ (twister.TWIST if y & 1 else 0))
    return words[twister.N:]
