"""The client for asyncio: :class:`~weight_init.Client` on threads, so that the event loop is not blocked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Callable, Literal, Mapping, Sequence, TypeVar, overload

import numpy as np

from .client import Client, Dtype, Model, Progress, Request

if TYPE_CHECKING:
    import torch

_Result = TypeVar("_Result")


class AsyncClient:
    """A service at ``url``, for asyncio. Methods, arguments and exceptions are those of :class:`~weight_init.Client`.

    Each call runs on a thread of the loop's default executor. A cancelled call returns at once; its thread ends when
    the next bytes arrive, so that :meth:`load_` may still write one piece into the module.

    Args:
        url, token, retries, timeout, profile: as for :class:`~weight_init.Client`.
    """

    def __init__(
        self, url: str, token: str | None = None, *, retries: int = 5, timeout: float = 60.0, profile: str = "torch-2.13"
    ) -> None:
        self._client = Client(url, token, retries=retries, timeout=timeout, profile=profile)

    @property
    def received(self) -> int:
        """Bytes of all bodies that this client received."""
        return self._client.received

    async def _run(self, call: Callable[[Client], _Result]) -> _Result:
        client, stop = self._client._for_one_call()
        try:
            return await asyncio.to_thread(call, client)
        except asyncio.CancelledError:
            stop.set()
            raise

    async def request(self, name: str) -> dict[str, Any]:
        """The request of one of the service's models, by its name: :meth:`Client.request <weight_init.Client.request>`.

        Raises:
            ServiceError: the service has no such model (404).
        """
        return await self._run(lambda client: client.request(name))

    async def models(self) -> list[Model]:
        """The service's models, sorted by name: :meth:`Client.models <weight_init.Client.models>`.

        Raises:
            ServiceError, UnreachableError, VersionError, ProfileError: as that method does.
        """
        return await self._run(lambda client: client.models())

    @overload
    async def tensor(
        self, method: str, shape: int | Sequence[int], *, seed: int = 0, dtype: Dtype = "float32",
        library: Literal["numpy"] = "numpy", **parameters: Any,
    ) -> np.ndarray[Any, Any]: ...

    @overload
    async def tensor(
        self, method: str, shape: int | Sequence[int], *, seed: int = 0, dtype: Dtype = "float32",
        library: Literal["torch"], **parameters: Any,
    ) -> torch.Tensor: ...

    async def tensor(
        self, method: str, shape: int | Sequence[int], *, seed: int = 0, dtype: Dtype = "float32",
        library: Literal["numpy", "torch"] = "numpy", **parameters: Any,
    ) -> np.ndarray[Any, Any] | torch.Tensor:
        """One tensor of ``shape``, a NumPy array or a torch tensor: :meth:`Client.tensor <weight_init.Client.tensor>`.

        Raises:
            ServiceError, UnreachableError, VersionError, ProfileError: as that method does.
        """
        if library == "torch":
            return await self._run(lambda client: client.tensor(method, shape, seed=seed, dtype=dtype, library="torch", **parameters))
        return await self._run(lambda client: client.tensor(method, shape, seed=seed, dtype=dtype, library=library, **parameters))

    async def arrays(
        self, request: Request, seed: int, *, include: Sequence[str] | None = None, digests: Mapping[str, str] | None = None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The tensors of a request as NumPy arrays of their shapes, by name: :meth:`Client.arrays <weight_init.Client.arrays>`.

        Raises:
            DigestError, ServiceError, UnreachableError, VersionError, ProfileError: as that method does.
        """
        return await self._run(lambda client: client.arrays(request, seed, include=include, digests=digests))

    async def state_dict(self, request: Request, seed: int) -> dict[str, torch.Tensor]:
        """The state dict that a request makes, with all tensors fetched: reading a lazy one would block the loop.

        Raises:
            ServiceError, UnreachableError, VersionError, ProfileError: as :meth:`Client.state_dict <weight_init.Client.state_dict>`.
        """
        return await self._run(lambda client: client._state(request, seed).complete())

    async def digests(self, request: Request, seed: int) -> dict[str, str]:
        """The SHA-256 of each tensor's bytes, by name: :meth:`Client.digests <weight_init.Client.digests>`.

        Raises:
            ServiceError, UnreachableError, VersionError, ProfileError: as that method does.
        """
        return await self._run(lambda client: client.digests(request, seed))

    async def load_(
        self,
        module: torch.nn.Module,
        request: Request,
        *,
        seed: int,
        device: str | torch.device | None = None,
        cast: bool = False,
        connections: int = 4,
        digests: Mapping[str, str] | None = None,
        progress: Progress | bool = False,
    ) -> torch.nn.Module:
        """Fills a module's parameters and buffers in place: :meth:`Client.load_ <weight_init.Client.load_>`.

        ``progress`` is called on other threads: use ``loop.call_soon_threadsafe`` to reach the loop.

        Raises:
            ModuleMismatchError, LossyDtypeError, ProfileError, VersionError: nothing was changed.
            DigestError, ServiceError, UnreachableError: tensors may have been filled in part.
        """
        return await self._run(
            lambda client: client.load_(
                module, request, seed=seed, device=device, cast=cast, connections=connections, digests=digests, progress=progress
            )
        )
