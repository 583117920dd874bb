"""Exports a model, fetches it from the service, and compares every tensor with PyTorch's under a new seed."""

from __future__ import annotations

import collections
import math
import time
import warnings
from dataclasses import dataclass
from typing import Any, Callable, Iterator

import torch

from catalogue import Build
from tensors import Service
from weight_init import TraceError, dumps
from weight_init.literals import raw_bytes
from weight_init.tracing import exported, named_state

#: A seed that the exporter uses nowhere.
SEED = 271_828
#: Share of the elements made through erfinv that may differ, by a unit of erfinv. Each scaling can add a unit.
ERFINV_SHARE = 0.0003
#: Outcomes from best to worst, of tensors and so of models.
_RANKS = ("exact", "erfinv", "orthogonal", "different")
_WHOLE = ("exact", "erfinv", "orthogonal")


@dataclass
class Result:
    """The outcome for one model. Sizes are bytes."""

    library: str
    key: str
    name: str
    outcome: str = "exact"  # or erfinv, orthogonal, refused, unbuilt, different, failed
    detail: str = ""
    tensors: int = 0
    #: Tensors that differ by the rounding of erfinv or of orthogonal matrices.
    rounded: int = 0
    #: Elements made through erfinv, and those of them that differ.
    erfinv: int = 0
    erfinv_apart: int = 0
    request: int = 0
    state: int = 0
    seconds: float = 0.0

    @property
    def is_whole(self) -> bool:
        return self.outcome in _WHOLE

    @property
    def is_wrong(self) -> bool:
        return self.outcome in ("different", "failed")


def check(
    result: Result, build: Build, service: Service, *, by_name: str = "", stage: Callable[[str], None] = lambda name: None
) -> None:
    """Exports, fetches and compares one model, and reports its stage. Only one further tensor at a time is in memory.

    ``by_name`` names a model of the service's catalogue that is fetched instead of the request.
    """
    begun = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check(result, build, service, by_name, stage)
    result.seconds = time.monotonic() - begun


def _check(result: Result, build: Build, service: Service, by_name: str, stage: Callable[[str], None]) -> None:
    stage("exporting")
    try:
        request = _exported(build)
    except TraceError as error:
        result.outcome, result.detail = "refused", str(error)
        return
    except Exception as error:
        result.outcome, result.detail = "failed", f"the exporter: {type(error).__name__}: {error}"
        return
    result.request, result.tensors = len(dumps(request)), len(request["tensors"])
    stage("building")
    torch.manual_seed(SEED)
    try:
        model = build()
    except Exception as error:  # the library's
        result.outcome, result.detail = "unbuilt", f"{type(error).__name__}: {error}"
        return
    stage("comparing")
    try:
        _compare_all(request, model, service.tensors(request, SEED, by_name), result)
    except Exception as error:  # the service's
        result.outcome, result.detail = "failed", f"{type(error).__name__}: {error}"


def _exported(build: Build) -> dict[str, Any]:
    """A request exported without memory, or on the CPU if that fails, without the exporter's own comparison."""
    try:
        return exported(build, meta=True)[0]
    except Exception:
        return exported(build, meta=False)[0]


def _compare_all(
    request: dict[str, Any], model: torch.nn.Module, received: Iterator[tuple[str, torch.Tensor]], result: Result
) -> None:
    ties = request.get("tie", {})
    expected: dict[str, list[torch.Tensor]] = collections.defaultdict(list)
    for name, tensor in named_state(model):
        expected[ties.get(name, name)].append(tensor.detach())
        result.state += tensor.numel() * tensor.element_size()
    methods = _methods_of(request)
    units: collections.Counter[str] = collections.Counter()
    for name, made in received:
        for tensor in expected.pop(name, ()):
            outcome, detail = _compare(name, made, tensor, methods[name], units)
            result.rounded += outcome in ("erfinv", "orthogonal")
            if _RANKS.index(outcome) > _RANKS.index(result.outcome):
                result.outcome, result.detail = outcome, detail
    if expected:
        result.outcome, result.detail = "different", f"{next(iter(expected))} is missing"
    result.erfinv, result.erfinv_apart = units["all"], units["different"]
    if result.outcome in ("erfinv", "orthogonal") and result.erfinv_apart > most_apart(result.erfinv):
        result.outcome = "different"
        result.detail = f"{result.erfinv_apart} of {result.erfinv} elements made through erfinv differ"


def most_apart(count: int) -> float:
    """The largest number of ``count`` elements made through erfinv that may differ.

    On AMD, 0.0287 % of all numbers differ. The number among ``count`` drawn elements varies around this share, with its
    square root as standard deviation. Four deviations and one element are allowed, so that none of a thousand models
    fails by chance.
    """
    mean = ERFINV_SHARE * count
    return mean + 4 * math.sqrt(mean) + 1


def _compare(
    name: str, made: torch.Tensor, expected: torch.Tensor, methods: collections.Counter[str], units: collections.Counter[str]
) -> tuple[str, str]:
    """How a tensor of the service differs from PyTorch's: an outcome of `Result`, and what differs.

    Counts in ``units`` the elements that passed through erfinv ("all"), and those of them that differ.
    """
    if "erfinv" in methods:
        units["all"] += made.numel()
    if made.shape != expected.shape or made.dtype != expected.dtype:
        return "different", f"{name}: {tuple(made.shape)} {made.dtype}, not {tuple(expected.shape)} {expected.dtype}"
    if _same_bytes(made, expected):
        return "exact", ""
    if "erfinv" in methods:
        apart = _units_apart(made, expected)
        units["different"] += int((apart > 0).sum())
        if int(apart.max()) <= 1 + methods["mul"] + methods["div"]:
            return "erfinv", name
        return "different", f"{name}: elements differ by up to {int(apart.max())} units"
    if "orthogonal" in methods:
        # The bits of PyTorch's QR depend on the number of threads; its error grows with the matrix's condition.
        distance = float((made.double() - expected.double()).abs().max())
        return ("orthogonal" if distance < 1e-3 else "different"), f"{name}: {distance:.1e} apart"
    return "different", f"{name}: {float((made != expected).double().mean()):.2%} of its elements differ"


def _same_bytes(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.numel() == 0:
        return True
    if a.ndim == 0:
        return raw_bytes(a) == raw_bytes(b)
    return torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))


def _units_apart(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Representable numbers between the elements of two tensors of a floating-point dtype."""
    kinds = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    kind = kinds[a.element_size()]
    lowest = torch.iinfo(kind).min

    def order(t: torch.Tensor) -> torch.Tensor:
        bits = t.contiguous().view(kind).to(torch.int64)
        return torch.where(bits < 0, lowest - bits, bits)

    return (order(a) - order(b)).abs()


def _methods_of(request: dict[str, Any]) -> dict[str, collections.Counter[str]]:
    """The methods that made each tensor, with their counts, including methods of tensors that were copied into it."""
    methods = {
        entry["name"]: collections.Counter([entry["method"]] if "method" in entry else []) for entry in request["tensors"]
    }
    for step in request.get("steps", ()):
        names = step.get("tensor", [])
        for name in [names] if isinstance(names, str) else names:
            methods[name].update([step["method"]])
            methods[name].update(methods.get(step.get("from", ""), {}))
    return methods
