"""Constructors named on the command line: ``pkg.module:name``, ``pkg.module:Class(arg=1)``, or a file that defines ``build()``.

The text is parsed, not evaluated: names are looked up in the module, and arguments are literals or further calls of that kind.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import importlib.util
import inspect
import shlex
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Iterator

from .errors import WeightInitError


class SpecificationError(ValueError):
    """The text names no constructor, or one that does not accept these arguments."""


class ConstructorError(WeightInitError):
    """The constructor, or its module, raised an exception."""


def constructor(text: str) -> Callable[[], Any]:
    """A function without arguments that calls the constructor in the text.

    Raises:
        SpecificationError: if the text has another form, or the module has no such name. The function raises it for arguments that
            the constructor does not have.
        ConstructorError: if the module raises an exception; the function, if the constructor does.
    """
    place, _, expression = text.partition(":")
    if place.endswith(".py"):
        module = _file(Path(place))
        if not expression and not hasattr(module, "build"):
            raise _without_build(place, module)
        expression = expression or "build"
    else:
        if not expression or not all(part.isidentifier() for part in place.split(".")):
            raise SpecificationError(f"{text!r} is neither a file that ends in .py nor of the form package.module:name")
        with _raising(f"importing {place}"):
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
        if not callable(_value(tree, module)):
            raise SpecificationError(f"{expression!r} is not callable")
        tree = ast.Call(tree, [], [])
    call = tree
    _value(call.func, module)  # a missing name is reported at once

    def build() -> Any:
        with _raising(text):
            return _value(call, module)

    build.description = text  # type: ignore[attr-defined]
    return build


@contextlib.contextmanager
def _raising(what: str) -> Iterator[None]:
    """Turns an exception of foreign code into one sentence with the line."""
    try:
        yield
    except (SpecificationError, WeightInitError):
        raise
    except SyntaxError as error:
        raise SpecificationError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raised = traceback.format_exception_only(error)[0].strip().splitlines()[0]
        frames = list(traceback.walk_tb(error.__traceback__))
        if isinstance(error, TypeError) and frames[-1][0].f_globals is globals():
            # Raised by the call itself: the constructor has not begun.
            raise SpecificationError(f"{what}: {error}") from error
        # A line of PyTorch or of this package says nothing about the constructor.
        own = [(frame, line) for frame, line in frames if frame.f_globals.get("__name__", "").partition(".")[0] not in _OTHERS]
        place = f" ({own[-1][0].f_code.co_filename}, line {own[-1][1]})" if own else ""
        raise ConstructorError(f"{what} raises {raised}{place}") from error


#: Number of constructors that a message names.
_NAMED = 8
_OTHERS = ("contextlib", "importlib", "torch", "weight_init")


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
        with _raising(f"importing {path}"):
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
        raise _missing(node.id, module, module.__name__)
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, module)
        if not hasattr(owner, node.attr):
            raise _missing(node.attr, owner, ast.unparse(node.value))
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


def _without_build(place: str, module: ModuleType) -> SpecificationError:
    """Names what a file without ``build()`` defines instead."""
    near = [name for name in difflib.get_close_matches("build", vars(module)) if callable(getattr(module, name))]
    # A model usually follows its parts.
    names = [*near, *(name for name in reversed(_modules(module)) if name not in near)][:_NAMED]
    if not names:
        return SpecificationError(f"{place} has no build(), and no class of nn.Module: define build(), or write {place}:NAME")
    calls = [shlex.quote(f"{place}:{name}{_arguments(getattr(module, name))}") for name in names]
    return SpecificationError(f"{place} has no build(): write {' or '.join(calls)}")


def _modules(module: ModuleType) -> list[str]:
    """The classes of nn.Module that a file defines, in its order."""
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    return [name for name, value in vars(module).items() if not name.startswith("_") and isinstance(value, type)
            and issubclass(value, torch.nn.Module) and value.__module__ == module.__name__]


def _arguments(function: Callable[..., Any]) -> str:
    """The arguments that a call needs, each with a place for its value."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ""
    needed = [parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty
              and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)]
    return f"({', '.join(f'{name}=...' for name in needed)})" if needed else ""


def _missing(name: str, owner: object, owners_name: str) -> SpecificationError:
    near = difflib.get_close_matches(name, dir(owner), n=1)
    return SpecificationError(f"{owners_name} has no {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
