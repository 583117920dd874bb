"""Computes elements that do not depend on the seed, by running their recorded operations on the CPU."""

from __future__ import annotations

from typing import Any, Sequence

import torch
from torch.utils._pytree import tree_flatten, tree_map

from .recorder import Operation, Recorder, View


def _needed(recorder: Recorder, views: Sequence[View]) -> list[int]:
    """The operations, in order, that determine the content of the views' storages."""
    needed: set[int] = set()
    wanted = [(view.storage, len(recorder.operations)) for view in views]
    seen: set[tuple[int, int]] = set()
    while wanted:
        storage, before = wanted.pop()
        for index in reversed(recorder.writers.get(storage, [])):
            if index >= before:
                continue
            if (storage, index) in seen:
                break
            seen.add((storage, index))
            operation = recorder.operations[index]
            needed.add(index)
            wanted += [(view.storage, index) for view in operation.reads]
            wanted += [(view.storage, index) for view in operation.writes if view.storage != storage]
            written = [view for view in operation.writes if view.storage == storage]
            if any(view.storage == storage for view in operation.results):
                break
            if operation.overwrites and any(recorder.covers(view) for view in written):
                break
    return sorted(needed)


def evaluate(recorder: Recorder, views: Sequence[View]) -> list[torch.Tensor]:
    """Contiguous copies of the views' elements as they are now."""
    memory: dict[int, torch.Tensor] = {}

    def tensor(view: View) -> torch.Tensor:
        raw = memory.get(view.storage)
        if raw is None:
            storage = recorder.storages[view.storage]
            if storage.content is not None:
                raw = storage.content.clone()
            else:
                raw = torch.zeros(storage.bytes, dtype=torch.uint8)
            memory[view.storage] = raw
        typed = torch.empty(0, dtype=view.dtype)
        return typed.set_(raw.untyped_storage(), view.offset, view.shape, view.stride)

    def real(leaf: Any) -> Any:
        if isinstance(leaf, View):
            return tensor(leaf)
        if isinstance(leaf, torch.device):
            return torch.device("cpu")
        return leaf

    with recorder.paused(), torch.no_grad():
        for index in _needed(recorder, views):
            _run(recorder.operations[index], recorder, memory, real)
        return [tensor(view).clone(memory_format=torch.contiguous_format) for view in views]


def _run(operation: Operation, recorder: Recorder, memory: dict[int, torch.Tensor], real: Any) -> None:
    if operation.depends or operation.function is None:
        return  # overwritten later by what does not depend on the seed
    result = operation.function(
        *tree_map(real, operation.args, is_leaf=_is_view), **tree_map(real, operation.kwargs, is_leaf=_is_view)
    )
    made = iter(operation.results)
    known = {raw.untyped_storage()._cdata for raw in memory.values()}
    for leaf in tree_flatten(result)[0]:
        if isinstance(leaf, torch.Tensor) and leaf.untyped_storage()._cdata not in known:
            view = next(made, None)
            if view is None:
                break
            storage = leaf.untyped_storage()
            memory[view.storage] = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (storage.nbytes(),), (1,))


def _is_view(leaf: Any) -> bool:
    return isinstance(leaf, View)
