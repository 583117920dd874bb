"""The meaning of a request, by PyTorch: executes ``tensors``, ``steps``, ``tie``, ``include`` and ``cast`` with one generator.

The exporter uses it to compare every request with the constructor, and the service's tests compare the service with it.
``layers`` and ``rules``, which the exporter does not write, are not interpreted.
"""

from __future__ import annotations

import fnmatch
import inspect
import math
from typing import Any, Callable, Mapping

import torch

from .blocks import parsed
from .errors import RequestError
from .literals import DTYPES, decode, unnumber
from .request import dtype_name

_LITERALS = frozenset({"zeros", "ones", "constant", "arange", "data"})
_MEMBERS = frozenset({"description", "seed", "dtype", "cast", "format", "include", "tensors", "steps", "tie"})
#: Number of discarded elements that are drawn at a time.
_CHUNK = 1 << 24
_INITIALISERS: dict[str, Callable[..., Any]] = {
    name: getattr(torch.nn.init, name + "_")
    for name in ("uniform", "normal", "trunc_normal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
                 "orthogonal", "sparse", "eye", "dirac")
}


class _Tensor:
    """A tensor of the request, with a record of the elements that have been written."""

    def __init__(self, entry: Mapping[str, Any], dtype: str, pointer: str, device: str) -> None:
        name = dtype_name(entry.get("dtype", dtype))
        if name not in DTYPES:
            raise RequestError(pointer + "/dtype", f"there is no dtype {name!r}")
        shape = entry.get("shape")
        if not isinstance(shape, (list, tuple)) or not all(type(n) is int and n >= 0 for n in shape):
            raise RequestError(pointer + "/shape", f"{shape!r} is not a list of sizes")
        self.data = torch.empty(tuple(shape), dtype=DTYPES[name], device=device)
        self.written: torch.Tensor | bool = self.data.numel() == 0
        self.persistent = bool(entry.get("persistent", True))
        self.cast = dtype_name(entry.get("cast"))

    def block(self, text: Any, pointer: str) -> tuple[slice, ...] | None:
        if text is None:
            return None
        try:
            slices = parsed(text, self.data.shape)
        except (ValueError, AttributeError) as error:
            raise RequestError(pointer, str(error)) from None
        for dimension, (part, size) in enumerate(zip(slices, self.data.shape)):
            if any(end is not None and not -size <= end <= size for end in (part.start, part.stop)):
                raise RequestError(pointer, f"goes beyond dimension {dimension} of size {size}")
        return slices

    def write(self, block: tuple[slice, ...] | None) -> torch.Tensor:
        """Marks elements as written and returns them to be overwritten."""
        if block is None:
            self.written = True
            return self.data
        if self.written is not True:
            if self.written is False:
                self.written = torch.zeros(self.data.shape, dtype=torch.bool)
            self.written[block] = True
            if bool(self.written.all()):
                self.written = True
        return self.data[block]

    def read(self, block: tuple[slice, ...] | None, pointer: str) -> torch.Tensor:
        """Elements to be read; they must have been written."""
        written = self.written
        if isinstance(written, torch.Tensor):
            written = bool((written if block is None else written[block]).all())
        if not written:
            raise RequestError(pointer, "reads elements that nothing has written")
        return self.data if block is None else self.data[block]


@torch.no_grad()
def interpret(
    request: Mapping[str, Any], seed: int | None = None, *, device: str = "cpu", everything: bool = False
) -> dict[str, torch.Tensor]:
    """The tensors that a request makes, by their names, including tied names.

    Args:
        request: a request with ``tensors``.
        seed: replaces the request's own seed; the default generator is seeded with it.
        device: "cpu", or "meta" to check names, shapes and slices without making anything.
        everything: also return tensors outside the state dict (``"persistent": false``).

    Raises:
        RequestError: if the request is not in the language.
    """
    unknown = [member for member in request if member not in _MEMBERS]
    if unknown:
        raise RequestError("/" + unknown[0], "is not interpreted")
    if seed is None:
        seed = int(request.get("seed", 0))
    torch.manual_seed(seed)
    dtype = dtype_name(request.get("dtype", "float32"))
    tensors: dict[str, _Tensor] = {}
    for index, entry in enumerate(request.get("tensors", ())):
        pointer = f"/tensors/{index}"
        name = entry.get("name", str(index))
        if name in tensors:
            raise RequestError(pointer + "/name", f"{name!r} stands twice")
        tensor = tensors[name] = _Tensor(entry, dtype, pointer, device)
        if "method" in entry:
            _initialise(tensor.write(None), entry, pointer, {"name", "shape", "dtype", "persistent", "cast"})
    for index, step in enumerate(request.get("steps", ())):
        _take(step, tensors, dtype, f"/steps/{index}", device)
    for name, tensor in tensors.items():
        if tensor.written is not True:
            raise RequestError("/tensors", f"{name!r} has elements that nothing writes")
    made = {name: _sent(tensor.data, tensor.cast or dtype_name(request.get("cast"))) for name, tensor in tensors.items()}
    hidden = {name for name, tensor in tensors.items() if not tensor.persistent}
    for name, target in request.get("tie", {}).items():
        if target not in made or name in made:
            raise RequestError("/tie", f"{name!r} cannot be another name of {target!r}")
        made[name] = made[target]
        if target in hidden:
            hidden.add(name)
    patterns = request.get("include")
    if patterns is not None:
        return {n: t for n, t in made.items()
                if (n in patterns if n in hidden and not everything else any(fnmatch.fnmatchcase(n, p) for p in patterns))}
    return {n: t for n, t in made.items() if everything or n not in hidden}


def _sent(tensor: torch.Tensor, cast: str | None) -> torch.Tensor:
    return tensor if cast is None or not tensor.is_floating_point() else tensor.to(DTYPES[cast])


def _initialise(target: torch.Tensor, members: Mapping[str, Any], pointer: str, known: set[str]) -> None:
    """Runs one method of the catalogue on a tensor, or on a block of one."""
    method = members["method"]
    arguments = {key: value for key, value in members.items() if key not in known and key != "method"}
    if method in _LITERALS:
        if target.device.type != "meta":
            target.copy_(decode(members, tuple(target.shape), target.dtype, pointer))
        return
    initialise = _INITIALISERS.get(method)
    if initialise is None:
        raise RequestError(pointer + "/method", f"there is no method {method!r}")
    accepted = set(inspect.signature(initialise).parameters) - {"tensor", "generator"}
    unknown = [key for key in arguments if key not in accepted]
    if unknown:
        raise RequestError(f"{pointer}/{unknown[0]}", f"{method} has no parameter {unknown[0]!r}")
    arguments = {k: v if k in ("mode", "nonlinearity", "groups") else unnumber(v, f"{pointer}/{k}") for k, v in arguments.items()}
    # torch.nn.init checks arguments that tensor.normal_ does not; both draw the same numbers.
    try:
        if target.is_contiguous() or target.device.type == "meta":
            initialise(target, **arguments)
        else:
            target.copy_(initialise(torch.empty(target.shape, dtype=target.dtype), **arguments))
    except (ValueError, RuntimeError, TypeError) as error:
        raise RequestError(pointer, str(error)) from None


def _change(step: Mapping[str, Any], method: str, target: torch.Tensor, pointer: str) -> None:
    def argument(name: str) -> float | int:
        if name not in step:
            raise RequestError(pointer, f"{method} needs {name}")
        return unnumber(step[name], f"{pointer}/{name}")

    if method == "clamp":
        ends = {end: argument(end) for end in ("min", "max") if end in step}
        if not ends:
            raise RequestError(pointer, "clamp needs min or max")
        target.clamp_(**ends)
    elif method == "erfinv":
        target.erfinv_()
    else:
        getattr(target, method + "_")(argument("value"))


_CHANGES = frozenset({"add", "sub", "mul", "div", "clamp", "erfinv"})


def _take(
    step: Mapping[str, Any], tensors: Mapping[str, _Tensor], dtype: str, pointer: str, device: str
) -> None:
    """Executes one step; a list of tensors or ``then`` means several."""
    method = step.get("method")
    if method is None:
        raise RequestError(pointer, "a step needs a method")
    if "tensor" not in step:
        _discard(step, dtype, pointer, device)
        return
    names = step["tensor"]
    for name in [names] if isinstance(names, str) else names:
        tensor = tensors.get(name)
        if tensor is None:
            raise RequestError(pointer + "/tensor", f"there is no tensor {name!r}")
        block = tensor.block(step.get("slice"), pointer + "/slice")
        for index, part in enumerate([step, *step.get("then", ())]):
            place = pointer if index == 0 else f"{pointer}/then/{index - 1}"
            _do(part, part.get("method"), tensor, block, tensors, place)


def _source(step: Mapping[str, Any], tensors: Mapping[str, _Tensor], pointer: str) -> _Tensor:
    source = tensors.get(step.get("from", ""))
    if source is None:
        raise RequestError(pointer + "/from", f"there is no tensor {step.get('from')!r}")
    return source


def _do(
    step: Mapping[str, Any],
    method: Any,
    tensor: _Tensor,
    block: tuple[slice, ...] | None,
    tensors: Mapping[str, _Tensor],
    pointer: str,
) -> None:
    if method == "norm":
        whole = _source(step, tensors, pointer).read(None, pointer)
        dimension = step.get("dim", 0)
        if whole.dtype is not torch.float32 or type(dimension) is not int or not -1 <= dimension < whole.ndim:
            raise RequestError(pointer + "/dim", f"there are no norms of {tuple(whole.shape)}, {whole.dtype}, that keep dimension {dimension}")
        norms = torch.norm_except_dim(whole, 2, dimension)
        target = tensor.write(block)
        if norms.numel() != target.numel():
            raise RequestError(pointer, f"writes {norms.numel()} norms to the shape {tuple(target.shape)}")
        target.copy_(norms.reshape(target.shape))
    elif method == "copy":
        source = _source(step, tensors, pointer)
        elements = source.read(source.block(step.get("from_slice"), pointer + "/from_slice"), pointer)
        if source is tensor:
            elements = elements.clone()
        target = tensor.write(block)
        if [n for n in elements.shape if n != 1] != [n for n in target.shape if n != 1]:
            raise RequestError(pointer, f"copies the shape {tuple(elements.shape)} over {tuple(target.shape)}")
        target.copy_(elements.reshape(target.shape))
    elif method in _CHANGES:
        _change(step, method, tensor.read(block, pointer), pointer)
    else:
        _initialise(tensor.write(block), step, pointer, {"tensor", "slice", "then"})


def _discard(step: Mapping[str, Any], dtype: str, pointer: str, device: str) -> None:
    """Draws numbers and discards them."""
    shape = step.get("shape")
    if shape is None:
        raise RequestError(pointer, "a step needs a tensor, or the shape of what it draws and discards")
    if device == "meta":
        return
    name = dtype_name(step.get("dtype", dtype))
    if step["method"] == "uniform" and name != "float64":
        left = math.prod(shape)
        buffer = torch.empty(min(left, _CHUNK))
        while left > 0:
            part = buffer[: min(left, _CHUNK)]
            part.uniform_()
            left -= part.numel()
        return
    target = torch.empty(tuple(shape), dtype=DTYPES[name])
    _initialise(target, step, pointer, {"shape", "dtype"})
