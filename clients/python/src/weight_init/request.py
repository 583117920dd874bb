"""Requests as text: one entry, step or tie a line, so that they can be read, searched and compared."""

from __future__ import annotations

import json
from typing import Any, Mapping


def dumps(request: Mapping[str, Any]) -> str:
    """A request as JSON with one entry a line and no other space between its parts, ending in a line break."""
    return "{" + ",\n".join(f"{_compact(key)}:{_lines(value)}" for key, value in request.items()) + "}\n"


def _lines(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(map(_compact, value)) + "\n]"
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"{_compact(name)}:{_compact(member)}" for name, member in value.items()) + "\n}"
    return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
