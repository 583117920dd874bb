"""Compares a service with the installed PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .client import Client, memory
from .interpreter import interpret
from .literals import DTYPES, raw_bytes
from .safetensors import Member

_SEED = 20_260_101
_METHODS: dict[str, dict[str, Any]] = {
    "uniform": {"a": -2, "b": 3}, "normal": {"mean": 0.5, "std": 1.7}, "trunc_normal": {"std": 0.5}, "xavier_uniform": {},
    "xavier_normal": {"gain": 2}, "kaiming_uniform": {"a": 5**0.5}, "kaiming_normal": {"mode": "fan_out", "nonlinearity": "relu"},
    "sparse": {"sparsity": 0.3}, "orthogonal": {}, "eye": {}, "dirac": {}, "zeros": {}, "ones": {}, "constant": {"value": -0.1},
}
#: Fewer than 16 elements, which PyTorch draws one by one; a length that is no multiple of 16; many.
_SHAPES = ([3, 5], [33, 17], [1024, 64])
_STEPS: list[dict[str, Any]] = [
    {"tensor": "steps", "method": "uniform", "a": -0.999, "b": 0.999},
    {"tensor": "steps", "method": "erfinv"},
    {"tensor": "steps", "slice": "3:9,1:", "method": "mul", "value": 1.4142135623730951},
    {"tensor": "steps", "slice": "2", "method": "zeros"},
    {"method": "normal", "shape": [21]},
    {"tensor": "copied", "method": "normal"},
    {"tensor": "copied", "method": "add", "value": 0.1},
    {"tensor": "copied", "slice": ":2", "method": "copy", "from": "steps", "from_slice": "4:6"},
    {"tensor": "copied", "method": "clamp", "min": -1, "max": 1},
]


@dataclass(frozen=True)
class Verification:
    """The outcome of :func:`verify`: how many tensors were compared, and the names of those that differ."""

    torch: str
    compared: int
    differences: list[str]


def verify(url: str, token: str | None = None) -> Verification:
    """Compares a service's tensors with the installed torch's: every method, dtype and kind of length, and steps.

    All bits have to be equal, except for `orthogonal`, whose bits depend on PyTorch's threads, and `erfinv`, which
    differs by a unit for some inputs. Releases of PyTorch outside the service's profile give other bits: docs/bits.md
    says which.

    Args:
        url: of the service.
        token: a bearer token, if the service needs one.

    Raises:
        ServiceError, UnreachableError, ProfileError: as :class:`Client` does.
    """
    client = Client(url, token)
    request = _request()
    expected = interpret(request, _SEED)
    made: dict[str, torch.Tensor] = {}

    def place(member: Member) -> memoryview:
        made[member.name] = torch.empty_like(expected[member.name])
        return memory(made[member.name])

    client._fetch(request, _SEED, place)
    differences = [name for name, tensor in expected.items() if name not in made or not _equal(name, made[name], tensor)]
    return Verification(torch.__version__, len(expected), differences)


def _equal(name: str, made: torch.Tensor, expected: torch.Tensor) -> bool:
    if raw_bytes(made) == raw_bytes(expected):
        return True
    if name.startswith("orthogonal"):
        return bool(torch.allclose(made, expected, rtol=0, atol=1e-3 if made.dtype is torch.float32 else 1e-11))
    # Scaling can turn one unit of erfinv's difference into two.
    return name in ("steps", "copied") and bool(torch.allclose(made, expected, rtol=2**-21, atol=0))


def _request() -> dict[str, Any]:
    tensors: list[dict[str, Any]] = []
    for method, parameters in _METHODS.items():
        for dtype in ("float32", "float64", "float16", "bfloat16"):
            if method == "orthogonal" and DTYPES[dtype].itemsize < 4:
                continue
            for shape in _SHAPES:
                if method == "dirac":
                    shape = [*shape, 3]
                name = f"{method}, {dtype}, {'×'.join(map(str, shape))}"
                tensors.append({"name": name, "shape": shape, "dtype": dtype, "method": method, **parameters})
    tensors += [{"name": "steps", "shape": [12, 40]}, {"name": "copied", "shape": [5, 40]}]
    return {"tensors": tensors, "steps": _STEPS}
