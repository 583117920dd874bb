"""Numbers of words of the generator that discarded draws take."""

from __future__ import annotations

import torch

#: From here on randperm draws 64 bits for a number.
_LARGE_PERMUTATION = 214_748_364


def uniform(count: int, dtype: torch.dtype) -> int:
    """32-bit words of ``uniform_`` on ``count`` elements."""
    return 2 * count if dtype is torch.float64 else count


def normal(count: int, dtype: torch.dtype) -> int:
    """32-bit words of ``normal_`` on 16 or more contiguous elements."""
    tail = 16 if count % 16 else 0
    if dtype in (torch.float16, torch.bfloat16):
        return count - count % 16 + tail
    return (count + tail) * (2 if dtype is torch.float64 else 1)


def permutation(count: int) -> int | None:
    """32-bit words of ``randperm``; None if it draws larger ones."""
    return max(0, count - 1) if count < _LARGE_PERMUTATION else None
