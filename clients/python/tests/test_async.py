"""The client for asyncio with the stand-in for the service."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest
import torch
from stand_in import StandIn
from torch import nn

import weight_init
from weight_init import AsyncClient, Client


def build(device: str | None = None) -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8, device=device), nn.BatchNorm1d(8, device=device), nn.Linear(8, 3, device=device))


def expected(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return build().state_dict()


def equal(state: Any, seed: int) -> bool:
    wanted = expected(seed)
    return list(state) == list(wanted) and all(torch.equal(state[name], tensor) for name, tensor in wanted.items())


@pytest.fixture(scope="module")
def request_of_it() -> dict[str, Any]:
    return weight_init.trace(build)


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in vars(kind).items() if not name.startswith("_")}


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    assert public(AsyncClient).keys() == public(Client).keys()
    for name in ("__init__", *public(Client)):
        threaded, awaited = getattr(Client, name), getattr(AsyncClient, name)
        if isinstance(threaded, property):
            continue
        assert inspect.signature(threaded).parameters == inspect.signature(awaited).parameters, name
        assert name == "__init__" or inspect.iscoroutinefunction(awaited), name


def test_every_method_gives_what_the_other_client_gives(service: StandIn, request_of_it: dict[str, Any]) -> None:
    service.models["acme/net"] = request_of_it

    async def main() -> None:
        client = AsyncClient(service.url)
        assert await client.request("acme/net") == request_of_it
        assert await client.models() == Client(service.url).models() != []
        assert (await client.tensor("ones", [2])).tolist() == [1, 1]
        assert torch.equal(await client.tensor("zeros", [2], library="torch"), torch.zeros(2))
        arrays = await client.arrays(request_of_it, 4, include=["0.*"])
        assert set(arrays) == {"0.weight", "0.bias"} and torch.equal(torch.from_numpy(arrays["0.bias"]), expected(4)["0.bias"])
        asked = len(service.requests)
        assert equal(await client.state_dict("acme/net", 5), 5)
        assert len(service.requests) == asked + 1
        digests = await client.digests(request_of_it, 6)
        module = build("meta")
        assert await client.load_(module, request_of_it, seed=6, digests=digests) is module
        assert equal(module.state_dict(), 6)
        assert client.received > sum(tensor.nbytes for tensor in expected(6).values())
        with pytest.raises(weight_init.ServiceError, match="there is no method 'norml'"):
            await client.tensor("norml", [2])

    asyncio.run(main())


def test_the_loop_goes_on_while_a_reply_is_awaited(service: StandIn) -> None:
    service.gate = threading.Event()

    async def main() -> None:
        tasks = [asyncio.create_task(AsyncClient(service.url).tensor("ones", [2])) for _ in range(3)]
        # All three wait for the stand-in, which waits for this loop.
        while len(service.requests) < 3:
            await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)
        assert service.gate is not None
        service.gate.set()
        assert [array.tolist() for array in await asyncio.gather(*tasks)] == [[1, 1]] * 3

    asyncio.run(main())


def test_a_cancelled_call_ends_its_thread_and_fills_nothing_more(service: StandIn, request_of_it: dict[str, Any]) -> None:
    service.gate = threading.Event()
    module = build()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    async def main() -> None:
        task = asyncio.create_task(AsyncClient(service.url).load_(module, request_of_it, seed=1, connections=1))
        while not service.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert service.gate is not None
        service.gate.set()

    asyncio.run(main())  # waits for the loop's threads
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_cancelled_call_repeats_no_request(service: StandIn) -> None:
    service.breaks = [0] * 9

    async def main() -> None:
        task = asyncio.create_task(AsyncClient(service.url, retries=9).tensor("ones", [2]))
        while len(service.requests) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert 2 <= len(service.requests) < 9
