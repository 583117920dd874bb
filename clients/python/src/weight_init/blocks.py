"""Views of a storage as blocks of a tensor: the ``slice`` of a step, ``0:2,3:5``."""

from __future__ import annotations

import math
from typing import Sequence

from .recorder import View


def block(view: View, shape: Sequence[int]) -> list[tuple[int, int]] | None:
    """The block of a row-major tensor of ``shape`` whose elements, in order, are the view's: a (start, end) for each dimension.

    None if the view is not a block: transposed, with steps, or expanded.
    """
    strides = [math.prod(shape[i + 1:]) for i in range(len(shape))]
    if view.count == 0:
        return None
    if view.offset >= max(math.prod(shape), 1):
        return None
    starts, rest = [], view.offset
    for size, stride in zip(shape, strides):
        starts.append(rest // stride if stride else 0)
        rest -= starts[-1] * stride
    lengths = [1] * len(shape)
    dimension = len(shape) - 1
    for count, stride in reversed(_merged(view)):
        while dimension >= 0 and (strides[dimension] != stride or shape[dimension] == 1):
            dimension -= 1
        while count > 1:
            if dimension < 0:
                return None
            size = shape[dimension]
            if starts[dimension] + count <= size:
                lengths[dimension], count = count, 1
            elif starts[dimension] == 0 and count % size == 0:
                lengths[dimension], count = size, count // size
            else:
                return None
            dimension -= 1
    return [(start, start + length) for start, length in zip(starts, lengths)]


def _merged(view: View) -> list[tuple[int, int]]:
    """(size, stride) of each dimension, outermost first, with adjacent dimensions merged if they are contiguous."""
    merged: list[tuple[int, int]] = []
    for size, stride in zip(view.shape, view.stride):
        if size == 1:
            continue
        if merged and merged[-1][1] == stride * size:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return merged


def spelled(ends: Sequence[tuple[int, int]], shape: Sequence[int]) -> str | None:
    """A slice in the request's notation, or None for all of the tensor."""
    items = [":" if end - start == size else f"{start or ''}:{end}" for (start, end), size in zip(ends, shape)]
    while items and items[-1] == ":":
        items.pop()
    return ",".join(items) or None


def parsed(text: str, shape: Sequence[int]) -> tuple[slice, ...]:
    """The slices that index a tensor of ``shape``.

    Raises:
        ValueError: if the text has another form, or more items than the tensor has dimensions.
    """
    items = text.split(",") if text.strip() else []
    if len(items) > len(shape):
        raise ValueError(f"has {len(items)} items; the tensor has {len(shape)} dimensions")
    slices = []
    for item in items:
        ends = item.split(":")
        if len(ends) == 1:
            index = int(ends[0])
            slices.append(slice(index, index + 1 if index != -1 else None))
        elif len(ends) == 2:
            slices.append(slice(*(int(end) if end.strip() else None for end in ends)))
        else:
            raise ValueError(f"{item!r} has a step; items are start:end")
    return tuple(slices)
