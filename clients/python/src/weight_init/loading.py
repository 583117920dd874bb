"""Constructors named on the command line: ``pkg.module:name``, ``pkg.module:Class(arg=1)``, or a file that defines ``build()``.

The text is parsed, not evaluated: names are looked up in the module, and arguments are literals or further calls of that kind.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Callable


class SpecificationError(ValueError):
    """The text names no constructor."""


def constructor(text: str) -> Callable[[], Any]:
    """A function without arguments that builds what the text names.

    Raises:
        SpecificationError: if the text has another form, or the module has no such name.
    """
    place, _, expression = text.partition(":")
    if place.endswith(".py"):
        module = _file(Path(place))
        expression = expression or "build"
    else:
        if not expression:
            raise SpecificationError(f"{text!r} is neither a file that ends in .py nor of the form package.module:name")
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise SpecificationError(f"cannot import {place!r}: {error}") from error
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise SpecificationError(f"{expression!r} is not a name or a call: {error.msg}") from None
    _checked(tree)
    if not isinstance(tree, ast.Call):
        target = _value(tree, module)
        if not callable(target):
            raise SpecificationError(f"{expression!r} is not callable")
        build: Callable[[], Any] = lambda: target()  # noqa: E731
    else:
        call = tree
        _value(call.func, module)  # a missing name is told at once
        build = lambda: _value(call, module)  # noqa: E731
    build.description = text  # type: ignore[attr-defined]
    return build


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise SpecificationError(f"there is no file {str(path)!r}")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if specification is None or specification.loader is None:
        raise SpecificationError(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        specification.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def _checked(node: ast.expr) -> None:
    """Refuses everything but names, calls and literals."""
    if isinstance(node, ast.Call):
        if any(keyword.arg is None for keyword in node.keywords) or any(isinstance(a, ast.Starred) for a in node.args):
            raise SpecificationError("* and ** are not supported in arguments")
        for part in (node.func, *node.args, *(keyword.value for keyword in node.keywords)):
            _checked(part)
    elif isinstance(node, ast.Attribute):
        if node.attr.startswith("_"):
            raise SpecificationError(f"{node.attr!r} is private")
        _checked(node.value)
    elif isinstance(node, ast.Name):
        if node.id.startswith("_"):
            raise SpecificationError(f"{node.id!r} is private")
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        for element in node.elts:
            _checked(element)
    elif isinstance(node, ast.Dict):
        for item in (*node.keys, *node.values):
            if item is None:
                raise SpecificationError("* and ** are not supported in arguments")
            _checked(item)
    else:
        try:
            ast.literal_eval(node)
        except ValueError:
            raise SpecificationError(
                f"{ast.unparse(node)!r} is not supported: arguments are literals, names of the module and calls"
            ) from None


def _value(node: ast.expr, module: ModuleType) -> Any:
    if isinstance(node, ast.Name):
        if hasattr(module, node.id):
            return getattr(module, node.id)
        if node.id == "torch":
            return importlib.import_module("torch")
        raise SpecificationError(f"{module.__name__} has no {node.id!r}")
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, module)
        if not hasattr(owner, node.attr):
            raise SpecificationError(f"{ast.unparse(node.value)} has no {node.attr!r}")
        return getattr(owner, node.attr)
    if isinstance(node, ast.Call):
        arguments = [_value(argument, module) for argument in node.args]
        keywords = {keyword.arg: _value(keyword.value, module) for keyword in node.keywords if keyword.arg is not None}
        return _value(node.func, module)(*arguments, **keywords)
    if isinstance(node, ast.List):
        return [_value(element, module) for element in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(element, module) for element in node.elts)
    if isinstance(node, ast.Set):
        return {_value(element, module) for element in node.elts}
    if isinstance(node, ast.Dict):
        return {_value(k, module): _value(v, module) for k, v in zip(node.keys, node.values) if k is not None}
    return ast.literal_eval(node)
