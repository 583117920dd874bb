"""Values that do not depend on the seed, as members of a request: ``zeros``, ``ones``, ``constant``, ``arange`` and ``data``.

Bits are kept: a value is written as a constant or a range only if this reproduces every byte.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from typing import Any, Mapping

import numpy as np
import torch

from .errors import RequestError

DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
}
DTYPE_NAMES: dict[torch.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}

#: Largest number of bytes that are written in base64 without compression, which would save nothing.
_UNCOMPRESSED = 64


def number(value: float | int | bool) -> float | int | str | bool:
    """A number in the form for JSON: non-finite numbers are the strings "inf", "-inf" and "nan"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def unnumber(value: Any, pointer: str = "") -> float | int:
    """The number that :func:`number` wrote."""
    if isinstance(value, str) and value in ("inf", "-inf", "nan"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RequestError(pointer, f"{value!r} is not a number")
    return value


def raw_bytes(tensor: torch.Tensor) -> bytes:
    """The tensor's elements, row-major and little-endian."""
    flat = tensor.detach().contiguous().reshape(-1)
    if flat.numel() == 0:
        return b""
    array: np.ndarray[Any, Any] = flat.view(torch.uint8).numpy()
    return array.tobytes()


def in_pairs(tensor: torch.Tensor, *, persistent: bool) -> torch.Tensor:
    """The tensor in the form of requests: complex buffers outside the state dict are pairs, with the same bytes.

    A complex tensor in the state dict is not changed, because a file with pairs instead would not load.
    """
    if persistent or not tensor.is_complex() or tensor.is_conj() or tensor.layout is not torch.strided:
        return tensor
    return torch.view_as_real(tensor)


def encode(tensor: torch.Tensor) -> dict[str, Any]:
    """The shortest method that makes ``tensor`` bit for bit: ``{"method": "zeros"}``, …, ``{"method": "data", "zlib": …}``."""
    data = raw_bytes(tensor)
    size, count = tensor.element_size(), tensor.numel()
    elements = np.frombuffer(data, np.uint8).reshape(count, size)
    if not elements.any():
        return {"method": "zeros"}
    if (elements == elements[0]).all():
        value = tensor.reshape(-1)[0].item()
        if value == 1:
            return {"method": "ones"}
        # A NaN has many bit patterns; only the usual one is written as "nan".
        if value == value or data[:size] == raw_bytes(torch.full((1,), float("nan"), dtype=tensor.dtype)):
            return {"method": "constant", "value": number(value)}
    if not tensor.dtype.is_floating_point and tensor.dtype is not torch.bool and count > 2:
        flat = tensor.reshape(-1).to(torch.int64)
        start, step = int(flat[0]), int(flat[1] - flat[0])
        if bool((flat[1:] - flat[:-1] == step).all()):
            members: dict[str, Any] = {"method": "arange"}
            if start != 0:
                members["start"] = start
            if step != 1:
                members["step"] = step
            return members
    if len(data) > _UNCOMPRESSED:
        packed = zlib.compress(data, 9)
        if len(packed) < len(data):
            return {"method": "data", "zlib": base64.b64encode(packed).decode()}
    return {"method": "data", "base64": base64.b64encode(data).decode()}


def decode(members: Mapping[str, Any], shape: tuple[int, ...], dtype: torch.dtype, pointer: str) -> torch.Tensor:
    """The tensor that ``zeros``, ``ones``, ``constant``, ``arange`` or ``data`` means.

    Raises:
        RequestError: if data is not base64, does not decompress, or has another size than the shape.
    """
    method, count = members["method"], math.prod(shape)
    if method == "zeros":
        return torch.zeros(shape, dtype=dtype)
    if method == "ones":
        return torch.ones(shape, dtype=dtype)
    if method == "constant":
        value = members["value"] if dtype is torch.bool else unnumber(members["value"], pointer + "/value")
        return torch.full(shape, value, dtype=dtype)
    if method == "arange":
        start, step = int(members.get("start", 0)), int(members.get("step", 1))
        return (torch.arange(count, dtype=torch.int64) * step + start).to(dtype).reshape(shape)
    expected = count * dtype.itemsize
    if ("base64" in members) == ("zlib" in members):
        raise RequestError(pointer, "data needs one of base64 and zlib")
    member = "base64" if "base64" in members else "zlib"
    try:
        data = base64.b64decode(members[member], validate=True)
        if member == "zlib":
            stream = zlib.decompressobj()
            data = stream.decompress(data, expected + 1)
            if not stream.eof or stream.unused_data:
                raise RequestError(f"{pointer}/{member}", f"does not end after the {expected} bytes of the shape")
    except (binascii.Error, zlib.error, TypeError) as error:
        raise RequestError(f"{pointer}/{member}", str(error)) from None
    if len(data) != expected:
        raise RequestError(f"{pointer}/{member}", f"holds {len(data)} bytes; the shape has {expected}")
    if not data:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype).reshape(shape)
