"""From a recording to a request: which draws are kept, where each of them ends up, and the steps that change it.

1. The content of a storage from one overwriting to the next is a :class:`Value`. Only values that a parameter or buffer
   finally holds, and values that they are made of, are kept. Other draws only advance the generator: they become
   discards.
2. Each kept operation becomes :class:`Move`s, which are the request's steps with values instead of names.
3. A value that is only copied into another shares its tensor, so that ``Parameter(torch.randn(n) * 0.02)`` is two steps on one tensor.
4. Moves become entries and steps.
"""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

import torch

from . import words
from .blocks import block, spelled
from .errors import TraceError
from .literals import DTYPE_NAMES, encode, number
from .recorder import Operation, Recorder, StateTensor, View

_END = 1 << 60


@dataclass(slots=True, eq=False)
class Value:
    """The content of a storage between two overwritings, if it depends on the seed."""

    storage: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    #: The storage's previous content, if its first operation writes to a part.
    before: torch.Tensor | None = None
    name: str | None = None
    start: int = _END
    last: int = -1
    group: Group | None = None


@dataclass(slots=True, eq=False)
class Group:
    """Values that share one tensor of the request, one after the other."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    name: str | None
    values: list[Value]
    scratch: bool = False


@dataclass(slots=True)
class Event:
    """A kept operation, with the value that each storage holds before and after it."""

    operation: Operation
    before: dict[int, Value]
    after: dict[int, Value]


@dataclass(slots=True)
class Move:
    """A step. ``value`` is None for a discard."""

    method: str
    value: Value | None = None
    view: View | None = None
    members: dict[str, Any] = field(default_factory=dict)
    source: Value | None = None
    source_view: View | None = None
    draws: bool = False
    place: str = ""


class _Unsupported(Exception):
    """An operation that the language has no step for; the message is the reason."""


def lower(recorder: Recorder, state: Sequence[StateTensor]) -> dict[str, Any]:
    """The request, without its description.

    Raises:
        TraceError: if the recording cannot be expressed; it names the tensor and the operation.
    """
    for refusal in recorder.refusals:
        raise refusal
    for tensor in state:
        if tensor.view.dtype not in DTYPE_NAMES:
            raise TraceError(f"requests have no dtype {str(tensor.view.dtype).removeprefix('torch.')}", tensor=tensor.name)
        if recorder.is_unwritten(tensor.view):
            raise TraceError("has elements that the constructor never writes (torch.empty): they are arbitrary",
                             tensor=tensor.name)
    return _Lowering(recorder, state).request()


class _Lowering:
    def __init__(self, recorder: Recorder, state: Sequence[StateTensor]) -> None:
        self.recorder = recorder
        self.state = state
        self.events, self.final = self._follow()
        self.ties, self.owners = self._names()
        self.moves: list[Move] = []
        self.cached: int | None = 0

    # 1. Values

    def _follow(self) -> tuple[list[Event], dict[int, Value]]:
        current: dict[int, Value] = {}
        events = []
        for operation in self.recorder.operations:
            if not operation.depends:
                for view in operation.writes:
                    if operation.overwrites and self.recorder.covers(view):
                        current.pop(view.storage, None)
                continue
            before = {view.storage: current[view.storage] for view in operation.reads if view.storage in current}
            after = {}
            for view in operation.writes:
                whole = operation.overwrites and self.recorder.covers(view)
                value = None if whole else current.get(view.storage)
                if value is None:
                    value = self._value(view, None if whole else operation.before.get(view.storage))
                else:
                    before[view.storage] = value
                current[view.storage] = after[view.storage] = value
            for view in operation.results:
                current[view.storage] = after[view.storage] = self._value(view, None)
            events.append(Event(operation, before, after))
        return events, current

    def _value(self, view: View, before: torch.Tensor | None) -> Value:
        storage = self.recorder.storages[view.storage]
        if self.recorder.covers(view) and view.is_contiguous:
            shape, dtype = view.shape, view.dtype
        else:
            dtype = view.dtype
            shape = (storage.bytes // dtype.itemsize,)
        return Value(view.storage, shape, dtype, before)

    def _names(self) -> tuple[dict[str, str], list[StateTensor]]:
        """Names of tensors that are the same as an earlier one, and the other tensors."""
        ties: dict[str, str] = {}
        first: dict[View, str] = {}
        owners = []
        for tensor in self.state:
            known = first.setdefault(tensor.view, tensor.name) if tensor.view.count else tensor.name
            if known != tensor.name:
                ties[tensor.name] = known
            else:
                owners.append(tensor)
        return ties, owners

    # 2. Moves

    def request(self) -> dict[str, Any]:
        pieces = self._name_final_values()
        kept = self._kept()
        for event, keep in zip(self.events, kept):
            if keep:
                try:
                    self._lower(event)
                except _Unsupported as reason:
                    raise self._refusal(event, str(reason)) from None
            elif event.operation.draws:
                self._discard(event)
        for tensor, value in pieces:
            source = self.final[tensor.view.storage]
            whole = View(-1, value.shape, _strides(value.shape), 0, value.dtype)
            self.moves.append(Move("copy", value, whole, source=source, source_view=tensor.view))
        self._live_ranges()
        self._share()
        return self._written(kept)

    def _name_final_values(self) -> list[tuple[StateTensor, Value]]:
        """Gives values the names of the state dict; tensors that are a part of a storage become separate values."""
        pieces = []
        self.values_by_name: dict[str, Value] = {}
        for tensor in self.owners:
            view = tensor.view
            value = self.final.get(view.storage) if view.storage in self.recorder.depends else None
            if value is None:
                continue
            whole = self.recorder.covers(view) and view.is_contiguous
            if whole and value.name is None and value.dtype == view.dtype:
                value.name, value.shape = tensor.name, view.shape
            else:
                if not whole and self.recorder.covers(view):
                    raise TraceError(
                        f"has the order of memory {view.stride} for the shape {view.shape}; requests make row-major tensors",
                        tensor=tensor.name,
                    )
                value = Value(-1, view.shape, view.dtype, name=tensor.name)
                pieces.append((tensor, value))
            self.values_by_name[tensor.name] = value
        return pieces

    def _kept(self) -> list[bool]:
        live = {
            id(self.final[tensor.view.storage])
            for tensor in self.owners
            if tensor.view.storage in self.recorder.depends and tensor.view.storage in self.final
        }
        kept = [False] * len(self.events)
        for index in range(len(self.events) - 1, -1, -1):
            event = self.events[index]
            if any(id(value) in live for value in event.after.values()):
                kept[index] = True
                live.update(id(value) for value in event.before.values())
        return kept

    def _refusal(self, event: Event, reason: str) -> TraceError:
        """An error that names the first tensor of the state dict that the event's result reaches."""
        reached = {id(value) for value in event.after.values()}
        begun = False
        for other in self.events:
            begun = begun or other is event
            if begun and any(id(value) in reached for value in other.before.values()):
                reached.update(id(value) for value in other.after.values())
        name = None
        for tensor in self.owners:
            if tensor.view.storage in self.final and id(self.final[tensor.view.storage]) in reached:
                name = tensor.name
                break
        operation = event.operation
        known = "torch.nn.init." if operation.function is None else "aten."
        place = f" (at {operation.place})" if operation.place else ""
        return TraceError(reason + place, tensor=name, operation=known + operation.name)

    def _lower(self, event: Event) -> None:
        operation = event.operation
        if operation.refused is not None:
            raise _Unsupported(operation.refused)
        for view in operation.writes:
            value = event.after[view.storage]
            if value.before is not None:
                size = (len(value.before) // value.dtype.itemsize,)
                whole = View(value.storage, size, (1,), 0, value.dtype)
                self.moves.append(Move("data", value, whole, _literal(value.before.view(value.dtype))))
                value.before = None
        base = operation.name.partition(".")[0]
        rule = _RULES.get(base)
        if rule is None:
            raise _Unsupported("requests have no step for it on values that were drawn")
        rule(self, event, _bound(operation))

    def _add(self, event: Event, method: str, view: View, members: dict[str, Any] | None = None, **more: Any) -> None:
        self.moves.append(
            Move(method, event.after[view.storage], view, members or {}, place=event.operation.place, **more)
        )

    def _draw(self, event: Event, method: str, view: View, members: dict[str, Any]) -> None:
        if not view.is_contiguous and not (method == "uniform" and not view.is_dense) and view.count > 1:
            # A uniform into scattered elements draws in row order, as into contiguous ones; a normal uses another
            # algorithm.
            if method != "normal" or view.count >= 16:
                raise _Unsupported(f"draws into elements that do not lie one after the other (strides {view.stride})")
        self._count(method, view, members)
        self._add(event, method, view, _without_defaults(method, members), draws=True)

    def _copy(self, event: Event, target: View, source: View) -> None:
        operation = event.operation
        value = event.before.get(source.storage)
        if value is None:
            literal = operation.operands[source].to(target.dtype).expand(target.shape)
            self._add(event, "data", target, _literal(literal))
            return
        if [n for n in source.shape if n != 1] != [n for n in target.shape if n != 1]:
            raise _Unsupported(f"copies drawn values of shape {source.shape} over the shape {target.shape}")
        self._add(event, "copy", target, source=value, source_view=source)

    # Draws that nobody reads

    def _discard(self, event: Event) -> None:
        operation = event.operation
        view = (operation.results or operation.writes)[0]
        base = operation.name.partition(".")[0]
        bound = _bound(operation)
        method = _DRAWS.get(base, base)
        members = _parameters(method, bound)
        count = view.count
        if count == 0:
            return
        if base == "randperm":
            number_of_words = words.permutation(count)
        elif method == "uniform":
            number_of_words = words.uniform(count, view.dtype)
        elif method == "normal" or method == "orthogonal":
            contiguous = view.is_contiguous or method == "orthogonal"
            number_of_words = words.normal(count, view.dtype) if contiguous and count >= 16 else self._small(count)
        elif method == "sparse":
            rows, columns = view.shape
            drawn = words.normal(count, view.dtype) if count >= 16 and view.is_contiguous else self._small(count)
            number_of_words = None if drawn is None else drawn + columns * max(0, rows - 1)
        elif method == "trunc_normal":
            number_of_words = None
        elif base in ("random_", "randint", "randint_like") and _span(bound) is not None:
            number_of_words = count
        else:
            raise self._refusal(event, "draws an unknown number of words from the generator")
        if number_of_words is not None:
            self._discard_words(number_of_words)
            return
        if method in ("normal", "orthogonal") and count < 16:
            self.moves.append(Move("normal", members={"shape": [count]}, draws=True))
        elif method == "trunc_normal" and view.is_contiguous:
            discarded: dict[str, Any] = {"shape": list(view.shape)}
            if view.dtype is not torch.float32:
                discarded["dtype"] = DTYPE_NAMES[view.dtype]
            self.moves.append(Move(method, members=discarded | _without_defaults(method, members), draws=True))
        else:
            raise self._refusal(event, "draws into elements that do not lie one after the other")
        self._count(method, view, members)

    def _discard_words(self, count: int) -> None:
        if count == 0:
            return
        last = self.moves[-1] if self.moves else None
        # Changes of tensors draw nothing, so that a discard can move before them.
        for move in reversed(self.moves):
            if move.draws:
                last = move
                break
        if last is not None and last.value is None and last.method == "uniform":
            last.members["shape"][0] += count
        else:
            self.moves.append(Move("uniform", members={"shape": [count]}, draws=True))

    def _small(self, count: int) -> int | None:
        """Words of a discarded normal that is drawn one by one; None if it uses or leaves a cached sample."""
        return 2 * count if self.cached == 0 and count % 2 == 0 else None

    def _count(self, method: str, view: View, members: dict[str, Any]) -> None:
        """Tracks the generator's number of cached samples: 0, 1, or None if it depends on the drawn numbers."""
        count = view.count
        if method == "normal" and (count < 16 or not view.is_contiguous):
            self.cached = None if self.cached is None else (self.cached + count) % 2
        elif method == "trunc_normal" and count < 16 and count % 2:
            self.cached = None
        elif method in ("orthogonal", "sparse") and count < 16 and count % 2:
            self.cached = None if self.cached is None else 1 - self.cached

    # 3. Tensors

    def _live_ranges(self) -> None:
        for index, move in enumerate(self.moves):
            for value in (move.value, move.source):
                if value is not None:
                    value.start, value.last = min(value.start, index), max(value.last, index)
        for value in self.values_by_name.values():
            value.last = _END

    def _share(self) -> None:
        """Gives each value a tensor: that of its name, the one it is copied into, a free one, or a scratch tensor."""
        values: dict[int, Value] = {}
        for move in self.moves:
            for value in (move.value, move.source):
                if value is not None:
                    values[id(value)] = value
        for value in values.values():
            value.group = Group(value.shape, value.dtype, value.name, [value])
        for index, move in enumerate(self.moves):
            target, source = move.value, move.source
            if target is None or source is None or target.group is source.group or move.method != "copy":
                continue
            assert move.view is not None and move.source_view is not None
            alike = (
                math.prod(target.shape) == math.prod(source.shape) == move.view.count == move.source_view.count
                and target.dtype == source.dtype
                and move.view.is_contiguous
                and move.source_view.is_contiguous
            )
            if alike and target.start == index and source.last <= index:
                self._merge(target, source)
        groups = {id(value.group): value.group for value in values.values() if value.group is not None}
        scratch, taken = 0, {tensor.name for tensor in self.state}
        for group in groups.values():
            if group.name is not None:
                continue
            home = next(
                (other for other in groups.values() if other.name is not None and other.shape == group.shape
                 and other.dtype == group.dtype and _free(other, group)),
                None,
            )
            if home is not None:
                for value in group.values:
                    value.group = home
                home.values += group.values
                continue
            while f"scratch.{scratch}" in taken:
                scratch += 1
            group.name, group.scratch = f"scratch.{scratch}", True
            taken.add(group.name)

    def _merge(self, target: Value, source: Value) -> None:
        into, out = target.group, source.group
        assert into is not None and out is not None
        if out.name is not None:
            return
        # At the copy, one value ends and the other begins.
        target_start = target.start
        target.start = target_start + 1
        free = _free(into, out)
        target.start = target_start
        if not free:
            return
        for value in out.values:
            value.group = into
        into.values += out.values

    # 4. Entries and steps

    def _written(self, kept: Sequence[bool]) -> dict[str, Any]:
        entries: dict[str, dict[str, Any]] = {}
        for tensor in self.owners:
            entry: dict[str, Any] = {"name": tensor.name, "shape": list(tensor.view.shape)}
            if tensor.view.dtype is not torch.float32:
                entry["dtype"] = DTYPE_NAMES[tensor.view.dtype]
            entries[tensor.name] = entry
        steps, begun = [], set()
        position = {name: index for index, name in enumerate(entries)}
        inlined = -1  # the last entry that draws; None once a draw stands in the steps
        inlining = True
        scratch: dict[str, dict[str, Any]] = {}
        for move in self.moves:
            if move.value is None:
                inlining = False
                steps.append({"method": move.method, **move.members})
                continue
            group = move.value.group
            assert group is not None and group.name is not None and move.view is not None
            ends = block(move.view, group.shape)
            if ends is None and 0 not in group.shape:
                raise self._no_block(group, move)
            part = spelled(ends, group.shape) if ends is not None else None
            step: dict[str, Any] = {"tensor": group.name}
            if part is not None:
                step["slice"] = part
            if move.source is not None:
                source = move.source.group
                assert source is not None and move.source_view is not None
                if move.method == "norm":
                    dimension = _kept_dimension(move.members["kept"], move.view.count, source.shape)
                    if dimension is None:
                        raise self._no_block(group, move)
                    begun.add(group.name)
                    steps.append(step | {"method": "norm", "from": source.name} | ({"dim": dimension} if dimension else {}))
                    continue
                from_ends = block(move.source_view, source.shape)
                if from_ends is None:
                    raise self._no_block(group, move)
                from_part = spelled(from_ends, source.shape)
                if source is group and from_part == part:
                    begun.add(group.name)
                    continue
                step |= {"method": "copy", "from": source.name}
                if from_part is not None:
                    step["from_slice"] = from_part
                begun.add(group.name)
                steps.append(step)
                continue
            step |= {"method": move.method, **move.members}
            first = group.name not in begun
            begun.add(group.name)
            if group.scratch and group.name not in scratch:
                scratch[group.name] = {"name": group.name, "shape": list(group.shape)} | (
                    {"dtype": DTYPE_NAMES[group.dtype]} if group.dtype is not torch.float32 else {}
                )
            if first and part is None and group.name in entries:
                after = position[group.name] > inlined
                if not move.draws or (inlining and after):
                    entries[group.name] |= {k: v for k, v in step.items() if k != "tensor"}
                    if move.draws:
                        inlined = position[group.name]
                    continue
            if move.draws:
                inlining = False
            steps.append(step)
        self._fill_in(entries, steps)
        # Tensors that only steps use are not in the state dict.
        tensors = [*entries.values(), *({**e, "persistent": False} for e in scratch.values())]
        request: dict[str, Any] = _common_dtype(tensors, steps) | {"tensors": tensors}
        if steps:
            request["steps"] = steps
        if self.ties:
            request["tie"] = self.ties
        return request

    def _reached(self, group: Group, move: Move) -> str | None:
        """The first tensor of the state dict that a group's elements are copied into, from a move on."""
        reached = [group]
        for later in self.moves[self.moves.index(move):]:
            if later.value is not None and later.value.group is not None and later.source is not None and later.source.group in reached:
                reached.append(later.value.group)
        return next((one.name for one in reached if not one.scratch), None)

    def _no_block(self, group: Group, move: Move) -> TraceError:
        view = move.view if move.source_view is None else move.source_view
        place = f" (at {move.place})" if move.place else ""
        strides = view.stride if view is not None else ()
        return TraceError(
            f"uses elements that are no block start:end of the tensor (strides {strides}){place}",
            tensor=self._reached(group, move), operation=move.method,
        )

    def _fill_in(self, entries: dict[str, dict[str, Any]], steps: list[dict[str, Any]]) -> None:
        """Literals of the tensors that do not depend on the seed; equal ones of any length are copied."""
        seen: dict[tuple[str, str, tuple[int, ...]], str] = {}
        copies = []
        for tensor in self.owners:
            entry = entries[tensor.name]
            if not tensor.persistent:
                entry["persistent"] = False
            if tensor.view.storage in self.recorder.depends and tensor.view.storage in self.final:
                continue
            if tensor.tensor.device.type == "meta":
                content = self.recorder.value(tensor.view)
            else:
                content = tensor.tensor.detach()
            literal = encode(content)
            data = literal.get("zlib") or literal.get("base64")
            if data is not None and len(data) > 64:
                key = (data, entry.get("dtype", "float32"), tuple(tensor.view.shape))
                known = seen.setdefault(key, tensor.name)
                if known != tensor.name:
                    copies.append({"tensor": tensor.name, "method": "copy", "from": known})
                    continue
            persistent = entry.pop("persistent", None)
            entry |= literal
            if persistent is not None:
                entry["persistent"] = persistent
        steps += copies


def _common_dtype(tensors: list[dict[str, Any]], steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Writes a half-precision dtype that most tensors have only once, for the whole request."""
    counts = collections.Counter(entry.get("dtype", "float32") for entry in tensors)
    common = next((name for name in ("bfloat16", "float16") if 2 * counts[name] > len(tensors)), None)
    if common is None:
        return {}
    for entry in tensors:
        own = entry.pop("dtype", "float32")
        if own != common:
            entry["dtype"] = own
    for step in steps:
        # Methods with one word for each element do not depend on the dtype; others do.
        if "tensor" not in step and step["method"] != "uniform":
            own = step.pop("dtype", "float32")
            if own != common:
                step["dtype"] = own
    return {"dtype": common}


def _free(group: Group, other: Group) -> bool:
    """True if no value of one group is alive at the same time as a value of the other."""
    return all(a.last < b.start or b.last < a.start for a in group.values for b in other.values)


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _literal(tensor: torch.Tensor) -> dict[str, Any]:
    """The members of a literal. Its method wins over the move's "data"."""
    return encode(tensor)


def _bound(operation: Operation) -> dict[str, Any]:
    """The operation's arguments by name, defaults included."""
    if operation.function is None:
        return dict(operation.kwargs)
    schema: Any = getattr(operation.function, "_schema")
    bound = {argument.name: argument.default_value for argument in schema.arguments if argument.has_default_value()}
    bound |= dict(zip((argument.name for argument in schema.arguments), operation.args))
    return bound | operation.kwargs


_DRAWS = {"uniform_": "uniform", "normal_": "normal", "rand": "uniform", "randn": "normal", "rand_like": "uniform",
          "randn_like": "normal", "normal": "normal"}
_DEFAULTS: dict[str, dict[str, float]] = {
    "uniform": {"a": 0.0, "b": 1.0},
    "normal": {"mean": 0.0, "std": 1.0},
    "trunc_normal": {"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0},
    "orthogonal": {"gain": 1.0},
    "sparse": {"std": 0.01},
}


def _parameters(method: str, bound: dict[str, Any]) -> dict[str, Any]:
    if method == "uniform":
        return {"a": bound.get("from", 0.0), "b": bound.get("to", 1.0)}
    if method == "normal":
        return {"mean": bound.get("mean", 0.0), "std": bound.get("std", 1.0)}
    return {key: bound[key] for key in (*_DEFAULTS.get(method, {}), "sparsity") if key in bound}


def _without_defaults(method: str, members: dict[str, Any]) -> dict[str, Any]:
    defaults = _DEFAULTS.get(method, {})
    return {k: number(float(v)) for k, v in members.items() if k not in defaults or v != defaults[k]}


def _span(bound: dict[str, Any]) -> int | None:
    """Size of the range of an integer draw, if it takes one word for each element."""
    high = bound.get("high", bound.get("to"))
    low = bound.get("low", bound.get("from", 0)) or 0
    if not isinstance(high, int) or high - low >= 1 << 28:
        return None
    return high - low


# Rules that turn operations on drawn values into moves.


def _scalar(event: Event, value: Any, dtype: torch.dtype) -> float | int:
    """A number, or the element of a tensor without dimensions that does not depend on the seed."""
    if isinstance(value, View):
        operand = event.operation.operands.get(value)
        if operand is None or operand.numel() != 1 or value.shape not in ((), (1,)):
            raise _Unsupported("has a tensor as its operand; requests have numbers only")
        if operand.dtype != dtype and operand.dtype.is_floating_point:
            raise _Unsupported(f"has an operand of another dtype, {operand.dtype}")
        value = operand.item()
    if isinstance(value, complex) or not isinstance(value, (int, float)):
        raise _Unsupported(f"has the operand {value!r}; requests have numbers only")
    return float(value)


def _is_drawn(event: Event, argument: Any) -> bool:
    return isinstance(argument, View) and argument.storage in event.before


def _target(lowering: _Lowering, event: Event, drawn: View, *, in_place: bool) -> View:
    """The view to change: the argument itself, or the operation's result after the argument was copied into it."""
    if in_place:
        return drawn
    result = event.operation.results[0]
    if result.dtype != drawn.dtype:
        raise _Unsupported(f"turns {drawn.dtype} into {result.dtype}")
    if result.shape != drawn.shape or result.stride != drawn.stride and drawn.is_dense and not drawn.is_contiguous:
        raise _Unsupported("gives another shape or order of memory")
    lowering._copy(event, result, drawn)
    return result


def _arithmetic(method: str) -> Callable[[_Lowering, Event, dict[str, Any]], None]:
    def rule(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
        drawn, other = bound["self"], bound["other"]
        if bound.get("alpha", 1) != 1:
            raise _Unsupported("scales its operand (alpha)")
        if bound.get("rounding_mode") is not None:
            raise _Unsupported("rounds to integers")
        in_place = bool(event.operation.writes)
        if not in_place and not _is_drawn(event, drawn):
            if method not in ("mul", "add"):
                raise _Unsupported("has drawn values as its second operand")
            drawn, other = other, drawn
        value = _scalar(event, other, drawn.dtype)
        target = _target(lowering, event, drawn, in_place=in_place)
        lowering._add(event, method, target, {"value": number(value)})

    return rule


def _reversed_subtraction(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    if bound.get("alpha", 1) != 1:
        raise _Unsupported("scales its operand (alpha)")
    drawn = bound["self"]
    value = _scalar(event, bound["other"], drawn.dtype)
    target = _target(lowering, event, drawn, in_place=False)
    lowering._add(event, "mul", target, {"value": -1.0})
    lowering._add(event, "add", target, {"value": number(value)})


def _negation(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    target = _target(lowering, event, bound["self"], in_place=bool(event.operation.writes))
    lowering._add(event, "mul", target, {"value": -1.0})


def _clamp(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    drawn = bound["self"]
    ends = {key: number(_scalar(event, bound[key], drawn.dtype)) for key in ("min", "max") if bound.get(key) is not None}
    target = _target(lowering, event, drawn, in_place=bool(event.operation.writes))
    lowering._add(event, "clamp", target, ends)


def _erfinv(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    drawn = bound["self"]
    if drawn.dtype is torch.float64:
        raise _Unsupported("erfinv of float64 has no single answer")
    target = _target(lowering, event, drawn, in_place=bool(event.operation.writes))
    lowering._add(event, "erfinv", target)


def _fill(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    view, value = bound["self"], bound.get("value", 0)
    if isinstance(value, View):
        if _is_drawn(event, value):
            raise _Unsupported("fills with a drawn value")
        element = event.operation.operands[value].reshape(1).to(view.dtype)
    else:
        element = torch.full((1,), value, dtype=view.dtype)
    lowering._add(event, "constant", view, _literal(element))


def _copied(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    lowering._copy(event, bound["self"], bound["src"])


def _cloned(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    result = event.operation.results[0]
    source = bound["self"]
    if result.shape == source.shape and result.stride == source.stride and source.is_dense and not source.is_contiguous:
        # The order of the memory is kept, so the whole storage is copied.
        result = View(result.storage, (result.count,), (1,), 0, result.dtype)
        source = View(source.storage, (source.count,), (1,), source.offset, source.dtype)
    lowering._copy(event, result, source)


def _drawn(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    operation = event.operation
    if operation.reads and not operation.name.endswith("_like"):
        raise _Unsupported("draws with tensors as parameters")
    base = operation.name.partition(".")[0]
    view = (operation.results or operation.writes)[0]
    method = _DRAWS.get(base, base)
    lowering._draw(event, method, view, _parameters(method, bound))


def _norm(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    """The norms of weight_norm: over all dimensions of a whole tensor except the first or the last, or over all."""
    view, result = bound["self"], event.operation.results[0]
    value = event.before[view.storage]
    if bound.get("p", bound.get("ord")) not in (2, None) or bound.get("dtype") is not None or view.dtype is not torch.float32:
        raise _Unsupported("is no Euclidean norm in float32")
    if not view.is_contiguous or view.count != math.prod(value.shape):
        raise _Unsupported("is the norm of a part of a tensor")
    count = len(view.shape)
    reduced = {dimension % count for dimension in bound.get("dim") or range(count)}
    kept = [dimension for dimension in range(count) if dimension not in reduced and view.shape[dimension] != 1]
    place = {(): "none", (0,): "first", (count - 1,): "last"}.get(tuple(kept))
    if place is None:
        raise _Unsupported("is a norm that keeps more than one dimension, or one in the middle")
    lowering._add(event, "norm", result, {"kept": place}, source=value, source_view=view)


def _kept_dimension(place: str, count: int, shape: Sequence[int]) -> int | None:
    """The dimension of a tensor of ``shape`` that ``count`` norms keep; -1 for one norm of all, None if there is none."""
    if place == "none":
        return -1
    dimension = 0 if place == "first" else len(shape) - 1
    return dimension if shape and shape[dimension] == count else None


def _joined(lowering: _Lowering, event: Event, bound: dict[str, Any]) -> None:
    """cat and stack: each tensor is copied into its block."""
    result, tensors = event.operation.results[0], bound["tensors"]
    dimension = bound["dim"] % len(result.shape)
    stacked = event.operation.name.startswith("stack")
    at = 0
    for view in tensors:
        if view.count == 0:
            continue
        size = 1 if stacked else view.shape[dimension]
        shape = (*result.shape[:dimension], size, *result.shape[dimension + 1:])
        target = View(result.storage, shape, result.stride, result.offset + at * result.stride[dimension], result.dtype)
        if stacked:
            source_shape = (*view.shape[:dimension], 1, *view.shape[dimension:])
            source_stride = (*view.stride[:dimension], 0, *view.stride[dimension:])
            source = View(view.storage, source_shape, source_stride, view.offset, view.dtype)
            if view.storage not in event.before:
                event.operation.operands[source] = event.operation.operands[view].reshape(source_shape)
            view = source
        lowering._copy(event, target, view)
        at += size


_RULES: dict[str, Callable[[_Lowering, Event, dict[str, Any]], None]] = {
    **{name: _drawn for name in (*_DRAWS, "trunc_normal", "orthogonal", "sparse")},
    **{name + suffix: _arithmetic(name) for name in ("mul", "add", "sub", "div") for suffix in ("", "_")},
    "rsub": _reversed_subtraction,
    "neg": _negation,
    "neg_": _negation,
    **{name: _clamp for name in ("clamp", "clamp_", "clamp_min", "clamp_min_", "clamp_max", "clamp_max_")},
    "erfinv": _erfinv,
    "erfinv_": _erfinv,
    "special_erfinv": _erfinv,
    "fill_": _fill,
    "zero_": _fill,
    "copy_": _copied,
    "clone": _cloned,
    "_to_copy": _cloned,
    "norm": _norm,
    "linalg_vector_norm": _norm,
    "cat": _joined,
    "stack": _joined,
}
