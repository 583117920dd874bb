"""PyTorch's initial weights, bit for bit, from a weight-init service; and requests for it from any PyTorch constructor.

``trace(build)`` turns a constructor into a request (needs torch). ``Client(url)`` fetches tensors, as NumPy arrays or into a module;
``AsyncClient(url)`` does the same for asyncio. ``verify(url)`` compares a service with the installed torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
    DigestError,
    LossyDtypeError,
    ModuleMismatchError,
    ProfileError,
    RequestError,
    ServiceError,
    TooLargeError,
    TraceError,
    UnauthorizedError,
    UnreachableError,
    VersionError,
    WeightInitError,
)
from .request import dumps

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .client import Client, Model
    from .interpreter import interpret
    from .tracing import describe, trace
    from .verification import Verification, verify

__version__ = "1.0.0"
__all__ = [
    "AsyncClient", "Client", "DigestError", "LossyDtypeError", "Model", "ModuleMismatchError", "ProfileError", "RequestError",
    "ServiceError", "TooLargeError", "TraceError", "UnauthorizedError", "UnreachableError", "Verification", "VersionError", "WeightInitError",
    "describe", "dumps", "interpret", "trace", "verify",
]

#: Names whose modules import torch, which takes seconds: they are imported when first used.
_LAZY = {"trace": "tracing", "describe": "tracing", "interpret": "interpreter", "AsyncClient": "async_client", "Client": "client",
         "Model": "client", "verify": "verification", "Verification": "verification"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
