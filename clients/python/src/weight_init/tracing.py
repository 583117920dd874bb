"""From a constructor to a request: records it once, lowers the recording, and compares the request with the constructor."""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import random
import sys
from typing import Any, Callable, Iterator, Mapping

import numpy as np
import torch

from .errors import TraceError
from .interpreter import interpret
from .literals import in_pairs, raw_bytes
from .lowering import lower
from .recorder import Recorder, StateTensor

Progress = Callable[[str], None]

#: Seeds under which the constructor is recorded and compared.
_RECORDED, _COMPARED = 20_260_101, 1_618_033_988
#: Largest state, in bytes, of models that are compared although they were recorded without memory.
_COMPARABLE = 1 << 30


def trace(
    build: Callable[[], torch.nn.Module],
    *,
    device: str | None = None,
    description: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The request for the tensors that a constructor makes, for any seed.

    ``build()`` returns a ``torch.nn.Module``. It is called once under a recorder. The request holds every parameter and buffer of
    the module in the order of its state dict, the draws in the order of the program, and what does not depend on the seed as
    values. Then ``build()`` is called under another seed: every tensor and the generator's next numbers must equal what the
    request makes with PyTorch. A service makes the same bits, except for `orthogonal` (within a tolerance) and `erfinv` (within a
    unit in the last place, or two if scaled): docs/bits.md.

    Args:
        build: makes a new module at each call, from PyTorch's default generator.
        device: "meta" records without memory, for models of any size. Models of more than 1 GiB are then compared by names, shapes
            and steps only. By default the module is built on the CPU.
        description: a text about the request; by default the versions of the libraries that made it.
        progress: called with one line of text at each stage.

    Returns:
        A request without ``seed`` and ``format``, which its users add.

    Raises:
        TraceError: if no request can express the constructor. It names the tensor and the operation. Also if ``build`` is a module, a
            text, or a function that needs arguments.
    """
    _check_constructor(build)
    if device not in (None, "cpu", "meta"):
        raise ValueError(f"device is {device!r}; it can be None, 'cpu' or 'meta'")
    say = progress or (lambda line: None)
    request, size, reseeded = exported(build, meta=device == "meta", say=say)
    if device != "meta" or size <= _COMPARABLE:
        say("comparing with the constructor under another seed")
        compare(request, build, _COMPARED, hint=reseeded)
    return {"description": description if description is not None else _versions(build)} | request


def _check_constructor(build: object) -> None:
    if isinstance(build, torch.nn.Module):
        raise TraceError(
            f"build is a module, a {type(build).__name__}: pass the class, or a function that returns a new module, such as "
            f"lambda: {type(build).__name__}(...); weight_init.describe(module) writes a request for a module that was made before"
        )
    if isinstance(build, str):
        raise TraceError(
            f"build is the text {build!r}: pass the class or the function itself; `python -m weight_init trace {build}` takes a text"
        )
    if not callable(build):
        raise TraceError(f"build is {build!r}: pass a class, or a function that returns a new module")


def _name(build: object) -> str:
    return getattr(build, "__name__", type(build).__name__)


def exported(
    build: Callable[[], torch.nn.Module], *, meta: bool, say: Progress = lambda line: None
) -> tuple[dict[str, Any], int, str | None]:
    """A request without comparison, the bytes of its tensors, and the call that reseeded the generator, if any."""
    with _generators_kept():
        recorder, state, reseeded = _record(build, meta=meta, say=say)
        say("writing the request")
        request = lower(recorder, state)
        size = sum(tensor.view.count * tensor.view.dtype.itemsize for tensor in state)
        del recorder
        kinds = {tensor.name: (tensor.view.shape, tensor.view.dtype) for tensor in state}
        del state
        say("checking names, shapes and steps")
        _compare_shapes(request, kinds)
    return request, size, reseeded


def describe(module: torch.nn.Module, *, progress: Progress | None = None) -> dict[str, Any]:
    """A request for an existing module, initialised anew by its own layers.

    A module does not remember its constructor. This function traces a copy on which it calls ``reset_parameters()`` of
    each submodule, in the order of ``modules()``. Tensors that no submodule resets stay unchanged if they are zeros,
    ones, constants or integers; others are refused, because they may have been drawn or trained.

    Raises:
        TraceError: as for :func:`trace`.
    """
    pristine = copy.deepcopy(module)

    def build() -> torch.nn.Module:
        rebuilt = copy.deepcopy(pristine)
        for part in rebuilt.modules():
            reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
            if callable(reset):
                reset()
        return rebuilt

    request = trace(build, progress=progress)
    for entry in request["tensors"]:
        if entry.get("method") == "data" and entry.get("dtype", "float32") in ("float32", "float64", "float16", "bfloat16"):
            raise TraceError("no submodule resets it, so that its values may have been drawn or trained; trace its constructor",
                             tensor=entry["name"])
    return request


def compare(
    request: Mapping[str, Any], build: Callable[[], torch.nn.Module], seed: int, *, hint: str | None = None
) -> None:
    """Compares a request, interpreted by PyTorch, with the constructor: every byte, and the generator's next numbers.

    Raises:
        TraceError: names the first tensor that differs.
    """
    with _generators_kept():
        random.seed(seed)
        np.random.seed(seed % (1 << 32))
        python = random.getstate()
        numpy = np.random.get_state(legacy=True)
        torch.manual_seed(seed)
        model = build()
        following = _next_numbers()
        causes = [hint] if hint is not None else []
        if random.getstate() != python:
            causes.append("Python's random module")
        if str(np.random.get_state(legacy=True)) != str(numpy):
            causes.append("numpy.random")
        because = f"; the constructor uses {' and '.join(causes)}" if causes else ""
        made = interpret(request, seed, everything=True)
        if not torch.equal(_next_numbers(), following):
            raise TraceError(f"after the constructor the generator stands elsewhere than after the request{because}")
        for name, tensor in named_state(model):
            if raw_bytes(made[name]) != raw_bytes(tensor):
                raise TraceError(
                    "differs from the constructor's under another seed" + (because or "; it may come from a source of randomness "
                    "that is not PyTorch's default generator, or from memory that was not initialised"),
                    tensor=name,
                )


def named_state(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter and buffer by its name, in the order of the state dict, including buffers outside it.

    Complex buffers outside the state dict are pairs of numbers, as in requests.
    """
    for name, tensor, persistent in _state(module):
        yield name, in_pairs(tensor, persistent=persistent)


def _state(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor, bool]]:
    for prefix, part in module.named_modules(remove_duplicate=False):
        prefix += "." if prefix else ""
        for name, parameter in part._parameters.items():
            if parameter is not None:
                yield prefix + name, parameter, True
        for name, buffer in part._buffers.items():
            if buffer is not None:
                yield prefix + name, buffer, name not in part._non_persistent_buffers_set


def _record(
    build: Callable[[], torch.nn.Module], *, meta: bool, say: Progress
) -> tuple[Recorder, list[StateTensor], str | None]:
    def counted(operations: int) -> None:
        if operations % 1000 == 0:
            say(f"recording: {operations} operations")

    recorder = Recorder(meta=meta, progress=counted)
    torch.manual_seed(_RECORDED)
    random.seed(_RECORDED)
    np.random.seed(_RECORDED)
    say("recording")
    with recorder.watching():
        try:
            module = build()
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            # Raised by the call itself, before the constructor has begun.
            raise TraceError(f"build is called without arguments: {error}; pass a function, such as lambda: {_name(build)}(...)") from None
    if not isinstance(module, torch.nn.Module):
        raise TraceError(f"build() returned {type(module).__name__}, not a torch.nn.Module")
    state = []
    for name, tensor, persistent in _state(module):
        if torch.nn.parameter.is_lazy(tensor):
            raise TraceError("is lazy: it has no shape before the module's first call", tensor=name)
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise TraceError("is sparse or quantized", tensor=name)
        if tensor.device.type not in recorder.devices:
            raise TraceError(f"is on the device {tensor.device}", tensor=name)
        followed = recorder.followed(tensor.detach())
        if recorder.view(followed).storage not in recorder.depends:  # drawn ones are refused by their dtype
            followed = in_pairs(followed, persistent=persistent)
        state.append(StateTensor(name, recorder.view(followed), persistent, followed))
    return recorder, state, recorder.reseeded


def _compare_shapes(request: Mapping[str, Any], kinds: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> None:
    made = interpret(request, 0, device="meta", everything=True)
    for name, (shape, dtype) in kinds.items():
        if name not in made or tuple(made[name].shape) != shape or made[name].dtype != dtype:
            raise TraceError("the request does not make it as it is", tensor=name)


def _next_numbers() -> torch.Tensor:
    """Numbers that differ if the generator's words or its cached sample do."""
    return torch.cat([torch.empty(3).normal_().view(torch.int32), torch.empty(4).uniform_().view(torch.int32)])


@contextlib.contextmanager
def _generators_kept() -> Iterator[None]:
    """Leaves the generators of torch, NumPy and Python as they were."""
    state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(state[0])
        np.random.set_state(state[1])
        random.setstate(state[2])


def _versions(build: Callable[[], torch.nn.Module]) -> str:
    """The versions of torch and of the loaded libraries of models."""
    made_by = [f"torch {torch.__version__}"]
    for name in ("torchvision", "timm", "transformers"):
        if name in sys.modules:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                made_by.append(f"{name} {importlib.metadata.version(name)}")
    what = getattr(build, "description", None)
    return (f"{what}: " if what else "") + ", ".join(made_by)
