"""Exceptions of this package. Each says what happened and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

#: Place, message and allowed values of one of the faults of a request.
Fault: TypeAlias = tuple[str, str, Sequence[Any]]


class WeightInitError(Exception):
    """Base class of the package's exceptions."""


class TraceError(WeightInitError):
    """A constructor cannot be expressed as a request.

    ``tensor`` is a name of the state dict, or None if no single tensor is the cause; ``operation`` is PyTorch's name of
    the operation that the request language lacks.
    """

    def __init__(self, reason: str, *, tensor: str | None = None, operation: str | None = None) -> None:
        self.reason, self.tensor, self.operation = reason, tensor, operation
        place = [tensor] if tensor is not None else []
        if operation is not None:
            place.append(operation)
        super().__init__(": ".join([*place, reason]))


class RequestError(WeightInitError):
    """A request is not in the request language, or PyTorch refuses it. ``pointer`` is a JSON Pointer into the request."""

    def __init__(self, pointer: str, reason: str) -> None:
        self.pointer, self.reason = pointer, reason
        super().__init__(f"{pointer or '/'}: {reason}")


class ServiceError(WeightInitError):
    """The service refused a request. ``status`` is HTTP's.

    ``detail`` is the service's own message: the place in the request, what is wrong, and the nearest of the allowed values.
    """

    _faults: Sequence[Fault] = ()

    def __init__(self, status: int, detail: str) -> None:
        self.status, self.detail = status, detail
        super().__init__(f"HTTP {status}: {detail}")

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.detail}"


class UnauthorizedError(ServiceError):
    """The service needs a bearer token (401, 403): pass ``token=`` to Client."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, f"{detail}: pass token= to Client")


class TooLargeError(ServiceError):
    """The request exceeds a limit of the service (413). The message names the option that raises it."""


class UnreachableError(WeightInitError):
    """No connection to the service, a busy service, or interrupted replies, more often in a row than ``retries``."""


class DigestError(WeightInitError):
    """A tensor has another SHA-256 than the given one."""


class ProfileError(WeightInitError):
    """The service makes the bits of another profile, such as another PyTorch's."""


class VersionError(WeightInitError):
    """The service has another major version than this package, or states none. Nothing was fetched."""


class ModuleMismatchError(WeightInitError):
    """Names, shapes or dtypes of a request do not fit a module. Nothing was changed; ``problems`` lists all of them."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("the request does not fit the module:\n  " + "\n  ".join(problems))


class LossyDtypeError(ModuleMismatchError):
    """Only dtypes do not fit: the module's have less range or precision than the request's. ``cast=True`` rounds."""
