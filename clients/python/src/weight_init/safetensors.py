"""Reads a safetensors file from a stream, one tensor after the other.

8 bytes, little-endian: the length of a JSON object that maps names to ``dtype``, ``shape`` and ``data_offsets``; then the data, in
the order of the offsets.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Callable

from .errors import WeightInitError

#: Bytes of an element, by the format's dtype.
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
         "I8": "int8", "U8": "uint8", "BOOL": "bool"}
LETTERS = {name: letters for letters, name in NAMES.items()}
_LONGEST_HEADER = 1 << 28


@dataclass(frozen=True)
class Member:
    """A tensor of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def bytes(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Header:
    """The file's tensors in the order of their data. ``bytes`` is the file's length."""

    members: list[Member]
    metadata: dict[str, str]
    bytes: int


def read_header(read: Callable[[int], bytes]) -> Header:
    """Reads the header. ``read(n)`` returns n bytes.

    Raises:
        WeightInitError: if it is not the header of a safetensors file without gaps.
    """
    length = int.from_bytes(read(8), "little")
    if length > _LONGEST_HEADER:
        raise WeightInitError("the reply is not a safetensors file")
    try:
        document: dict[str, Any] = json.loads(read(length))
        metadata = document.pop("__metadata__", {})
        members = [
            Member(name, value["dtype"], tuple(value["shape"]), *value["data_offsets"]) for name, value in document.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightInitError(f"the reply is not a safetensors file: {error}") from None
    members.sort(key=lambda member: (member.start, member.end))
    at = 0
    for member in members:
        if member.dtype not in SIZES or member.start != at or member.bytes != math.prod(member.shape) * SIZES[member.dtype]:
            raise WeightInitError(f"the reply is not a safetensors file: {member.name} has other offsets than its shape")
        at = member.end
    return Header(members, metadata, 8 + length + at)
