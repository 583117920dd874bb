"""Loads modules through both clients from the program itself, compares them with their constructors, and provokes each error.

    check_client.py PROGRAM

`make test-client` tests the client against a stand-in, with faults that the program does not have.
"""

from __future__ import annotations

import asyncio
import copy
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable

# As in check.py: MKL makes Whisper's sinusoids, and with this setting their bits are the same on all processors.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")

import torch

import catalogue

catalogue.declare_torchvision_operators()

import torchvision
from torch import nn

import weight_init.client
from comparison import SEED
from tensors import Service
from weight_init import AsyncClient, Client
from weight_init.literals import raw_bytes
from weight_init.tracing import named_state

def resnet50() -> nn.Module:
    return torchvision.models.resnet50()


def embedding() -> nn.Module:
    """128 MiB in one tensor, which four connections divide."""
    return nn.Embedding(8192, 4096)


def made(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(SEED)
    return build()


def empty(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


def same(module: nn.Module, expected: nn.Module) -> None:
    wanted = dict(named_state(expected))
    held = dict(named_state(module))
    assert held.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert held[name].dtype == tensor.dtype and raw_bytes(held[name]) == raw_bytes(tensor), f"{name} is not the constructor's"


def fails(kind: type[Exception], call: Callable[[], Any], *words: str) -> None:
    try:
        call()
    except kind as error:
        assert type(error) is kind and all(word in str(error) for word in words), f"{type(error).__name__}: {error}"
    else:
        raise AssertionError(f"no {kind.__name__}")


def check_loading(service: Service) -> None:
    expected = made(resnet50)
    request = weight_init.trace(resnet50)
    client = Client(service.url)
    digests = client.digests(request, SEED)
    for what in (request, "random/resnet50"):
        same(client.load_(empty(resnet50), what, seed=SEED, digests=digests), expected)
    narrow = copy.deepcopy(expected).to(torch.bfloat16)
    same(client.load_(empty(resnet50).to(torch.bfloat16), request, seed=SEED, cast=True), narrow)
    state = client.state_dict(request, SEED)
    assert torch.equal(state["fc.weight"], expected.fc.weight)
    arrays = client.arrays("random/resnet50", SEED, include=["fc.*"])
    assert set(arrays) == {"fc.weight", "fc.bias"} and arrays["fc.bias"].tobytes() == raw_bytes(expected.fc.bias)

    client = Client(service.url)
    module = client.load_(empty(embedding), weight_init.trace(embedding), seed=SEED)
    same(module, made(embedding))
    size = module.weight.nbytes
    assert client.received < 1.02 * size, f"{client.received} bytes were received for {size}"


async def check_async(service: Service) -> None:
    client = AsyncClient(service.url)
    both = await asyncio.gather(*(client.load_(empty(resnet50), "random/resnet50", seed=SEED) for _ in range(2)))
    for module in both:
        same(module, made(resnet50))
    state = await client.state_dict("random/resnet50", SEED)
    assert list(state) == list(made(resnet50).state_dict())


def check_errors(service: Service) -> None:
    client, module = Client(service.url), empty(resnet50)
    module.fc = nn.Linear(2048, 10, device="meta")
    del module.bn1

    def load(held: nn.Module, client: Client = client) -> None:
        client.load_(held, "random/resnet50", seed=SEED)

    fails(weight_init.ModuleMismatchError, lambda: load(module), "fc.weight", "fc.bias", "bn1.running_mean")
    fails(weight_init.LossyDtypeError, lambda: load(empty(resnet50).half()), "conv1.weight", "cast=True")
    fails(weight_init.ServiceError, lambda: client.load_(module, "no/such", seed=SEED), "404")
    fails(weight_init.ServiceError, lambda: client.tensor("normal", [2], std=-1), "422")
    fails(weight_init.TooLargeError, lambda: client.tensor("ones", [1 << 40, 1 << 40]), "413")
    fails(weight_init.ProfileError, lambda: load(module, Client(service.url, profile="torch-1.0")), "torch-2.13", "torch-1.0")
    fails(weight_init.VersionError, lambda: load(module, Client(service.url + "/elsewhere")), "is it a weight-init service")
    version = weight_init.client.__version__
    weight_init.client.__version__ = "99.0.0"
    try:
        fails(weight_init.VersionError, lambda: load(module, Client(service.url)), f"weight-init {version}", "99.0.0")
    finally:
        weight_init.client.__version__ = version
    assert all(tensor.is_meta for _, tensor in named_state(module))


def whisper() -> nn.Module:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    return WhisperForConditionalGeneration(WhisperConfig())


def check_long_request(program: str) -> None:
    """A model of the service whose request is longer than the service's limit for a body."""
    name, sinusoids = "random/whisper-tiny", "model.encoder.embed_positions.weight"
    with Service(program, "--max-body-bytes", str(1 << 20)) as service:
        client, expected = Client(service.url), made(whisper)
        fails(weight_init.TooLargeError, lambda: client.arrays(client.request(name), SEED), "413", "--max-body-bytes")
        digests = client.digests(name, SEED)
        same(client.load_(empty(whisper), name, seed=SEED, digests=digests), expected)
        state = client.state_dict(name, SEED)
        assert set(state) == set(expected.state_dict())
        assert torch.equal(state[sinusoids], expected.get_parameter(sinusoids))


def check_tokens(program: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tokens")
        file.write_text("a-token-of-this-check\n")
        with Service(program, "--token-file", str(file)) as service:
            assert Client(service.url, "a-token-of-this-check").tensor("ones", [2]).tolist() == [1, 1]
            for token in (None, "another"):
                fails(weight_init.UnauthorizedError, lambda: Client(service.url, token).tensor("ones", [2]), "401", "pass token=")
        fails(weight_init.UnreachableError, lambda: Client(service.url, retries=1).tensor("ones", [2]), "refused", "tried 2 times")


def main() -> None:
    torch.set_num_threads(1)
    with Service(sys.argv[1]) as service:
        check_loading(service)
        asyncio.run(check_async(service))
        check_errors(service)
        outcome = weight_init.verify(service.url)
        assert not outcome.differences, outcome.differences
    check_long_request(sys.argv[1])
    check_tokens(sys.argv[1])
    print(f"check_client: modules are their constructors', errors are told, {outcome.compared} tensors are those of torch {outcome.torch}")


if __name__ == "__main__":
    main()
