"""Requests as text: one entry, step or tie per line, so that they can be read, searched and compared."""

from __future__ import annotations

import json
from typing import Any, Mapping

import numpy as np


def dumps(request: Mapping[str, Any]) -> str:
    """A request as JSON with one entry per line and no other white space between its parts, ending in a line break."""
    return "{" + ",\n".join(f"{_compact(key)}:{_lines(value)}" for key, value in request.items()) + "}\n"


def _lines(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(map(_compact, value)) + "\n]"
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"{_compact(name)}:{_compact(member)}" for name, member in value.items()) + "\n}"
    return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=plain)


def plain(value: Any) -> Any:
    """The JSON form of a value that JSON lacks: the name of a dtype of torch or NumPy, or the number in a NumPy scalar.

    Raises:
        TypeError: the value is neither.
    """
    if isinstance(value, np.generic):
        return value.item()
    name = dtype_name(value)
    if name is value:
        raise TypeError(f"a request cannot hold {value!r}, of type {type(value).__name__}")
    return name


def dtype_name(dtype: Any) -> Any:
    """The name of a dtype of torch or NumPy, such as ``float16``. Other values are returned as they are."""
    if isinstance(dtype, np.dtype) or isinstance(dtype, type) and issubclass(dtype, np.generic):
        return np.dtype(dtype).name
    # Without importing torch.
    if type(dtype).__module__ == "torch" and type(dtype).__name__ == "dtype":
        return str(dtype).removeprefix("torch.")
    return dtype
