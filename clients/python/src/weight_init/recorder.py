"""Records a constructor's operations on tensors, and which of them depend on the seed.

A :class:`Recorder` is a dispatch mode: every ATen operation of the constructor passes through it. It runs the
operation, or, on the meta device, only its shape function, and keeps a list of :class:`Operation`. Tensors are recorded
as :class:`View` of a storage, because a constructor writes through views.

A storage depends on the seed from the first operation that draws into it, or that reads a dependent storage, until an
independent operation overwrites all of it. Values that leave the dispatcher (``item()``, ``numpy()``, ``tolist()``,
comparisons) are watched: a constructor that branches on drawn values cannot be a request.
"""

from __future__ import annotations

import contextlib
import math
import sys
import types
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Sequence

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from .errors import TraceError

#: Operations that change only a tensor's metadata.
_METADATA = frozenset(
    {"set_", "resize_", "detach_", "requires_grad_", "t_", "transpose_", "squeeze_", "unsqueeze_", "swapaxes_", "as_strided_"}
)
#: In-place operations that do not read the elements they write.
_OVERWRITING = frozenset(
    {"fill_", "zero_", "copy_", "uniform_", "normal_", "random_", "bernoulli_", "exponential_", "cauchy_", "log_normal_",
     "geometric_", "trunc_normal", "orthogonal", "sparse"}
)
#: Operations that leave their result uninitialised.
_EMPTY = frozenset({"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted"})
#: Operations that hand elements to Python.
_ESCAPES = frozenset({"_local_scalar_dense", "equal", "is_nonzero"})
#: torch.nn.init functions whose number of draws, or whose bits, are not those of their ATen operations.
_MACROS = ("_no_grad_trunc_normal_", "orthogonal_", "sparse_")
_MACRO_NAMES = {"_no_grad_trunc_normal_": "trunc_normal", "orthogonal_": "orthogonal", "sparse_": "sparse"}
#: Functions that set the state of the default generator.
_RESEEDING = ("manual_seed", "seed", "set_rng_state")


@dataclass(frozen=True, slots=True)
class View:
    """Elements of a storage, by shape, strides and offset, in units of elements of ``dtype``."""

    storage: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.stride)):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True

    @property
    def is_dense(self) -> bool:
        """True if the elements are contiguous in memory, in any order of dimensions."""
        expected = 1
        for size, stride in sorted(((n, s) for n, s in zip(self.shape, self.stride) if n != 1), key=lambda pair: pair[1]):
            if stride != expected:
                return False
            expected *= size
        return True


@dataclass(slots=True)
class Storage:
    """Memory that tensors share. ``bytes`` is its size when first seen."""

    bytes: int
    dtype: torch.dtype
    #: The content when first seen, if no recorded operation made it.
    content: torch.Tensor | None = None


@dataclass(slots=True)
class Operation:
    """One operation. ``function`` is None for torch.nn.init functions recorded whole, and for literals."""

    name: str
    function: Callable[..., Any] | None
    args: Sequence[Any]
    kwargs: dict[str, Any]
    reads: list[View]
    writes: list[View]
    results: list[View]
    #: Draws from the default generator.
    draws: bool
    #: Writes every element that it touches without reading it.
    overwrites: bool
    depends: bool = False
    #: Values of read views that do not depend on the seed, if the operation itself does.
    operands: dict[View, torch.Tensor] = field(default_factory=dict)
    #: Contents of storages before this operation made them depend on the seed, if they had any.
    before: dict[int, torch.Tensor] = field(default_factory=dict)
    #: file:line of the constructor.
    place: str = ""
    #: The reason why no request can express the operation, if known when it was recorded.
    refused: str | None = None


@dataclass(slots=True)
class StateTensor:
    """A parameter or buffer of the module that was built."""

    name: str
    view: View
    persistent: bool
    tensor: torch.Tensor


def device_type(tensor: torch.Tensor) -> str:
    """The type of a tensor's real device: while a recorder without memory watches, ``tensor.device`` is the CPU."""
    return str(torch._C.TensorBase.device.__get__(tensor).type)


def _caller() -> str:
    """file:line of the innermost frame outside torch and this package."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if "/torch/" not in path and "/weight_init/" not in path and not path.startswith("<"):
            return f"{path}:{frame.f_lineno}"
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    return ""


class Recorder(TorchDispatchMode):
    """Records while it is active: ``with recorder.watching(): model = build()``.

    With ``meta`` every tensor is made on the meta device, whatever device the constructor asks for; elements that the constructor
    reads are computed on the CPU from the operations recorded so far, if they do not depend on the seed.
    """

    def __init__(self, *, meta: bool = False, progress: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.meta = meta
        self.devices = ("cpu", "meta") if meta else ("cpu",)
        self.operations: list[Operation] = []
        #: For each storage, the indices in ``operations`` of the operations that write to it.
        self.writers: dict[int, list[int]] = {}
        self.storages: list[Storage] = []
        self.depends: set[int] = set()
        #: Storages with elements that nothing has written: True for all, or a mask of them.
        self.unwritten: dict[int, torch.Tensor | bool] = {}
        self.refusals: list[TraceError] = []
        self.reseeded: str | None = None
        self._progress = progress
        self._paused = 0
        #: Number of operations that are running: meta operations written in Python ask tensors for their real device.
        self.dispatching = 0
        self._by_address: dict[int, int] = {}
        self._alive: list[StorageWeakRef] = []
        self._twins: dict[int, torch.Tensor] = {}

    # Views and storages

    def view(self, tensor: torch.Tensor) -> View:
        return View(
            self._storage(tensor), tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset()), tensor.dtype
        )

    def _storage(self, tensor: torch.Tensor, *, made: bool = False) -> int:
        storage = tensor.untyped_storage()
        known = self._by_address.get(storage._cdata)
        if known is not None:
            return known
        # Prevents the address from being reused for another storage.
        self._alive.append(StorageWeakRef(storage))
        index = len(self.storages)
        content = None
        if not made and device_type(tensor) == "cpu":
            content = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (storage.nbytes(),), (1,)).clone()
        self.storages.append(Storage(storage.nbytes(), tensor.dtype, content))
        self._by_address[storage._cdata] = index
        return index

    def covers(self, view: View) -> bool:
        """True if the view has every element of its storage."""
        return view.count * view.dtype.itemsize == self.storages[view.storage].bytes and view.is_dense

    # Values

    def value(self, view: View) -> torch.Tensor:
        """A contiguous copy, on the CPU, of elements that do not depend on the seed, as they are now."""
        return self.values([view])[0]

    def values(self, views: Sequence[View]) -> list[torch.Tensor]:
        from .evaluation import evaluate

        return evaluate(self, views)

    # Recording

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Records the operations, the calls of torch.nn.init and the values that leave the dispatcher."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(_macros_sent_to(self))
            stack.enter_context(_reads_sent_to(self))
            stack.enter_context(_reseeding_sent_to(self))
            if self.meta:
                stack.enter_context(_on_cpu_by_name(self))
            stack.enter_context(self)
            yield

    def macro(self, name: str, tensor: torch.Tensor, arguments: dict[str, Any], generator: Any, run: Callable[[], Any]) -> Any:
        """Records a call of torch.nn.init whole, and runs it unless the tensor has no memory."""
        if self._paused or device_type(tensor) not in self.devices:
            return run()
        view = self.view(tensor)
        if name == "orthogonal" and tensor.ndim < 2 or name == "sparse" and tensor.ndim != 2 or tensor.numel() == 0:
            return run()  # PyTorch's own error, or nothing to do
        operation = Operation(
            name, None, (view,), arguments, [], [view], [], draws=generator is None, overwrites=True, place=_caller()
        )
        if generator is not None:
            operation.refused = "draws from a generator of its own"
        self._note(operation)
        if device_type(tensor) == "meta":
            return tensor
        with self.paused():
            return run()

    def escape(self, tensor: torch.Tensor, operation: str) -> None:
        """Notes that Python reads the tensor's elements."""
        if self._paused or device_type(tensor) not in self.devices:
            return
        if self._storage(tensor) in self.depends:
            self.refusals.append(
                TraceError(f"the constructor reads drawn values at {_caller()}, so its steps may depend on the seed",
                           operation=operation)
            )

    def _note(self, operation: Operation) -> None:
        self._follow(operation)
        for view in (*operation.writes, *operation.results):
            self.writers.setdefault(view.storage, []).append(len(self.operations))
        self.operations.append(operation)
        if self._progress is not None:
            self._progress(len(self.operations))

    def _follow(self, operation: Operation) -> None:
        """Follows the operation's dependence on the seed and on uninitialised memory."""
        written = [*operation.writes, *operation.results]
        depends = operation.draws or operation.refused is not None
        depends = depends or any(view.storage in self.depends for view in operation.reads)
        for view in operation.writes:
            whole = operation.overwrites and self.covers(view)
            depends = depends or (view.storage in self.depends and not whole)
        operation.depends = depends
        if depends:
            for view in operation.reads:
                if view.storage not in self.depends and view not in operation.operands:
                    operation.operands[view] = self.value(view)
            for view in operation.writes:
                whole = operation.overwrites and self.covers(view)
                if view.storage not in self.depends and not whole and self.unwritten.get(view.storage) is not True:
                    # The mask distinguishes unwritten elements from the rest.
                    size = self.storages[view.storage].bytes
                    all_of_it = View(view.storage, (size,), (1,), 0, torch.uint8)
                    operation.before.setdefault(view.storage, self.value(all_of_it))
            self.depends.update(view.storage for view in written)
        else:
            for view in operation.writes:
                if self.covers(view):
                    self.depends.discard(view.storage)
        self._follow_unwritten(operation)

    def _follow_unwritten(self, operation: Operation) -> None:
        if operation.name in _EMPTY:
            for view in operation.results:
                if self.storages[view.storage].bytes:
                    self.unwritten[view.storage] = True
            return
        reads = list(operation.reads)
        if not operation.overwrites:
            reads += operation.writes
        poisoned = any(self._is_unwritten(view) for view in reads)
        for view in (*operation.writes, *operation.results):
            if poisoned:
                if view in operation.results or self.covers(view):
                    self.unwritten[view.storage] = True
                else:
                    self._mark(view, True)
            elif view.storage in self.unwritten:
                if self.covers(view):
                    del self.unwritten[view.storage]
                else:
                    self._mark(view, False)

    def _mask(self, view: View) -> torch.Tensor | None:
        mask = self.unwritten[view.storage]
        if isinstance(mask, bool):
            size = self.storages[view.storage].bytes // view.dtype.itemsize
            mask = self.unwritten[view.storage] = torch.ones(size, dtype=torch.bool)
        try:
            return mask.as_strided(view.shape, view.stride, view.offset)
        except RuntimeError:
            return None  # seen through another dtype

    def _is_unwritten(self, view: View) -> bool:
        if view.storage not in self.unwritten or view.count == 0:
            return False
        with self.paused():
            mask = self._mask(view)
            return True if mask is None else bool(mask.any())

    def _mark(self, view: View, unwritten: bool) -> None:
        with self.paused():
            if unwritten and view.storage not in self.unwritten:
                size = self.storages[view.storage].bytes // view.dtype.itemsize
                self.unwritten[view.storage] = torch.zeros(size, dtype=torch.bool)
            mask = self._mask(view)
            if mask is None:
                self.unwritten[view.storage] = True
                return
            mask.fill_(unwritten)
            whole = self.unwritten[view.storage]
            if isinstance(whole, torch.Tensor) and not whole.any():
                del self.unwritten[view.storage]

    def is_unwritten(self, view: View) -> bool:
        """True if any element of the view is uninitialised memory."""
        return self._is_unwritten(view)

    # Dispatch

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        self.dispatching += 1
        try:
            return self._dispatch(func, args, kwargs)
        finally:
            self.dispatching -= 1

    def _dispatch(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        base = func._schema.name.rpartition("::")[2]
        if self.meta:
            args, kwargs = self._without_memory(func, base, args, kwargs)
        given = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, torch.Tensor)]
        if any(device_type(tensor) not in self.devices for tensor in given):
            return func(*args, **kwargs)
        views = {id(tensor): self.view(tensor) for tensor in given}
        if base in _ESCAPES:
            return self._hand_out(func, base, args, kwargs, given)
        if torch.Tag.dynamic_output_shape in func.tags:
            for tensor in given:
                self.escape(tensor, func.name())
            if self.meta:
                return self._computed(func, args, kwargs)
        result = func(*args, **kwargs)
        if base in _METADATA:
            if base == "resize_":
                self.refusals.append(TraceError(f"a tensor is resized at {_caller()}", operation="aten.resize_"))
            return result
        known = {tensor.untyped_storage()._cdata for tensor in given}
        results = []
        for tensor in tree_flatten(result)[0]:
            if isinstance(tensor, torch.Tensor) and device_type(tensor) in self.devices:
                if tensor.untyped_storage()._cdata not in known:
                    self._storage(tensor, made=True)
                    results.append(self.view(tensor))
        mutated = [a for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        if not results and not mutated:
            return result  # a view, or a question
        self._note(self._operation(func, base, args, kwargs, results, mutated, views))
        return result

    def _operation(
        self,
        func: Any,
        base: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        results: list[View],
        mutated: list[Any],
        views: dict[int, View],
    ) -> Operation:
        def noted(leaf: Any) -> Any:
            return views[id(leaf)] if isinstance(leaf, torch.Tensor) else leaf

        names = [argument.name for argument in func._schema.arguments]
        places = {argument.name for argument in mutated}
        named = dict(zip(names, args)) | kwargs
        writes = [views[id(t)] for n in places for t in tree_flatten(named.get(n))[0] if isinstance(t, torch.Tensor)]
        overwrites = base in _OVERWRITING or func._schema.overload_name.endswith("out")
        reads = [
            views[id(t)]
            for n, value in named.items()
            if n not in places
            for t in tree_flatten(value)[0]
            if isinstance(t, torch.Tensor)
        ]
        if base.endswith("_like") or base.startswith("new_"):
            reads = []  # shape and dtype alone
        # reads through another view of what is written keep the operation from being an overwrite
        if any(read.storage == write.storage for read in reads for write in writes):
            overwrites = False
        draws = torch.Tag.nondeterministic_seeded in func.tags
        refused = None
        generator = kwargs.get("generator")
        if draws and generator is not None and generator is not torch.default_generator:
            draws, refused = False, "draws from a generator of its own"
        name = base if base in _EMPTY else func.name().removeprefix("aten::")
        operation = Operation(
            name,
            func,
            tree_map(noted, tuple(args)),
            {k: noted(v) if isinstance(v, torch.Tensor) else v for k, v in kwargs.items() if k != "generator"},
            reads,
            writes,
            results,
            draws=draws,
            overwrites=overwrites,
            place=_caller(),
            refused=refused,
        )
        return operation

    # Python reads elements

    def _hand_out(self, func: Any, base: str, args: Sequence[Any], kwargs: dict[str, Any], given: list[torch.Tensor]) -> Any:
        for tensor in given:
            self.escape(tensor, "item" if base == "_local_scalar_dense" else base)
        if any(device_type(tensor) == "meta" for tensor in given):
            with self.paused():
                args, kwargs = self.on_cpu((args, kwargs))
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def on_cpu(self, tree: Any) -> Any:
        """The same arguments with every tensor without memory computed; drawn values are replaced by the number 1."""

        def computed(leaf: Any) -> Any:
            if not isinstance(leaf, torch.Tensor) or device_type(leaf) != "meta":
                return leaf
            view = self.view(leaf)
            if view.storage in self.depends:
                return torch.ones(view.shape, dtype=view.dtype)
            return self.value(view)

        return tree_map(computed, tree)

    def _computed(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Runs an operation whose result's shape depends on elements, and makes its result a literal."""
        with self.paused():
            real_args, real_kwargs = self.on_cpu((tuple(args), dict(kwargs)))
            real_kwargs.pop("device", None)
            result = func(*real_args, **real_kwargs)
        return tree_map(lambda leaf: self._twin(leaf) if isinstance(leaf, torch.Tensor) else leaf, result)

    # The meta device

    def followed(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor that operations are recorded on: without memory, even for a tensor made before the recording."""
        return self._twin(tensor) if self.meta and device_type(tensor) == "cpu" else tensor

    def _twin(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor without memory that replaces one with memory; the latter's elements become the storage's content."""
        storage = tensor.untyped_storage()
        twin = self._twins.get(storage._cdata)
        if twin is None:
            with self.paused():
                twin = torch.empty(storage.nbytes(), dtype=torch.uint8, device="meta")
                whole = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (storage.nbytes(),), (1,))
                index = self._storage(twin, made=True)
                self.storages[index] = Storage(storage.nbytes(), tensor.dtype, whole.clone())
            self._twins[storage._cdata] = twin
            # Both stay alive, because their addresses must not be reused.
            self._alive.append(StorageWeakRef(storage))
        with self.paused():
            placed = torch.empty(0, dtype=tensor.dtype, device="meta")
            placed.set_(twin.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())
        return placed

    def _without_memory(
        self, func: Any, base: str, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Any]]:
        def moved(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor) and device_type(leaf) == "cpu":
                return self._twin(leaf)
            if isinstance(leaf, torch.device) and leaf.type == "cpu":
                return torch.device("meta")
            return leaf

        args = tree_map(moved, tuple(args))
        kwargs = tree_map(moved, dict(kwargs))
        takes = any(argument.name == "device" for argument in func._schema.arguments)
        if takes and kwargs.get("device") is None and not any(
            isinstance(leaf, torch.Tensor) for leaf in tree_flatten((args, kwargs))[0]
        ):
            kwargs["device"] = torch.device("meta")
        if kwargs.get("pin_memory"):
            kwargs["pin_memory"] = False
        return args, kwargs


# Operations that bypass the dispatcher


@contextlib.contextmanager
def _macros_sent_to(recorder: Recorder) -> Iterator[None]:
    """Sends calls of three functions of torch.nn.init to the recorder, also calls through names imported elsewhere.

    The functions' code is replaced, not the functions.
    """
    module = torch.nn.init
    names = module.__dict__

    def hook(attribute: str, original: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        import inspect

        bound = inspect.signature(original).bind(*arguments, **keywords)
        bound.apply_defaults()
        values = dict(bound.arguments)
        tensor, generator = values.pop("tensor"), values.pop("generator", None)
        return recorder.macro(
            _MACRO_NAMES[attribute], tensor, values, generator, lambda: original(*arguments, **keywords)
        )

    codes: dict[str, types.CodeType] = {}
    for attribute in _MACROS:
        function = names[attribute]
        codes[attribute] = function.__code__
        original = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        original.__kwdefaults__ = function.__kwdefaults__
        key = f"_weight_init_{attribute}"
        names[key] = lambda args, kwargs, attribute=attribute, original=original: hook(attribute, original, args, kwargs)
        scope: dict[str, Any] = {}
        exec(f"def stand_in(*args, **kwargs):\n    return {key}(args, kwargs)\n", scope)
        function.__code__ = scope["stand_in"].__code__
    try:
        yield
    finally:
        for attribute, code in codes.items():
            names[attribute].__code__ = code
            names.pop(f"_weight_init_{attribute}", None)


@contextlib.contextmanager
def _reads_sent_to(recorder: Recorder) -> Iterator[None]:
    """Watches numpy(), tolist() and __array__, which read memory without an operation."""
    originals = {name: getattr(torch.Tensor, name) for name in ("numpy", "tolist", "__array__")}

    def watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def read(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            recorder.escape(self, name)
            if device_type(self) == "meta" and not recorder._paused:
                with recorder.paused():
                    self = recorder.on_cpu(self)
                    return original(self, *args, **kwargs)
            return original(self, *args, **kwargs)

        return read

    for name, original in originals.items():
        setattr(torch.Tensor, name, watched(name, original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(torch.Tensor, name, original)


@contextlib.contextmanager
def _on_cpu_by_name(recorder: Recorder) -> Iterator[None]:
    """Makes tensors without memory report the CPU, because libraries skip the initialisation of meta tensors."""
    base = torch._C.TensorBase
    real = base.device
    cpu = torch.device("cpu")

    def device(self: torch.Tensor) -> torch.device:
        found: torch.device = real.__get__(self)
        return cpu if found.type == "meta" and not recorder.dispatching else found

    setattr(torch.Tensor, "device", property(device))
    setattr(torch.Tensor, "is_meta", property(lambda self: device(self).type == "meta"))
    setattr(torch.Tensor, "is_cpu", property(lambda self: device(self).type == "cpu"))
    try:
        yield
    finally:
        for name in ("device", "is_meta", "is_cpu"):
            delattr(torch.Tensor, name)


@contextlib.contextmanager
def _reseeding_sent_to(recorder: Recorder) -> Iterator[None]:
    """Notes that the constructor sets the state of the default generator."""
    originals = [(module, name, getattr(module, name)) for module in (torch, torch.random) for name in _RESEEDING
                 if hasattr(module, name)]

    def watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            recorder.reseeded = f"torch.{name} at {_caller()}"
            return original(*args, **kwargs)

        return call

    for module, name, original in originals:
        setattr(module, name, watched(name, original))
    try:
        yield
    finally:
        for module, name, original in originals:
            setattr(module, name, original)
