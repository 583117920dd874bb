"""Tensors of a request whose bits are not PyTorch's on every processor: docs/bits.md says why."""

from __future__ import annotations

from typing import Any, Mapping

#: Methods whose bits differ, and how far a service's elements are from PyTorch's. The first has the largest difference.
_DIFFERENCES = {
    "orthogonal": "within a tolerance of PyTorch's",
    "erfinv": "within a unit in the last place, or two if scaled",
}
#: Steps that change a tensor's elements and keep their differences. All others overwrite the elements.
_CHANGES = frozenset({"add", "sub", "mul", "div", "clamp", "erfinv"})
#: Number of names of tensors in the notice, for each method.
_NAMED = 3


def inexact(request: Mapping[str, Any]) -> dict[str, str]:
    """The tensors that are not PyTorch's bit for bit, in the order of the request, with the method that causes it.

    A tensor counts as inexact even if later steps overwrite its inexact elements slice by slice.
    """
    causes = {entry["name"]: {entry.get("method")} & _DIFFERENCES.keys() for entry in request.get("tensors", ())}
    for step in request.get("steps", ()):
        names = step.get("tensor", ())
        for name in [names] if isinstance(names, str) else names:
            for part in (step, *step.get("then", ())):
                method = part["method"]
                made = {method} & _DIFFERENCES.keys() | causes.get(part.get("from"), set())
                kept = causes[name] if method in _CHANGES or "slice" in step else set()
                causes[name] = kept | made
    return {name: next(method for method in _DIFFERENCES if method in methods) for name, methods in causes.items() if methods}


def notice(request: Mapping[str, Any]) -> str | None:
    """One line that names the tensors that are not PyTorch's bit for bit; None if there are none."""
    causes = inexact(request)
    parts = []
    for method, difference in _DIFFERENCES.items():
        names = [name for name, cause in causes.items() if cause == method]
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            parts.append(f"{', '.join(names[:_NAMED])}{more} ({method}: {difference})")
    return f"not bit for bit: {'; '.join(parts)}; see docs/bits.md" if parts else None
