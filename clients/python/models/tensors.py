"""The program under test, and tensors from it."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import torch

from weight_init.client import memory
from weight_init.literals import DTYPES
from weight_init.safetensors import NAMES, read_header

sys.path.append(str(Path(__file__).parents[3] / "Tests" / "reference"))
import service  # noqa: E402

_OPTIONS = ("--max-body-bytes", str(64 << 20), "--max-tensors", "200000", "--max-layers", "200000")


class Service(service.Service):
    """``weight-init serve`` with more options, on a free port, until the ``with`` block ends."""

    def __init__(self, program: str, *options: str) -> None:
        super().__init__(program, *_OPTIONS, *options)

    def tensors(self, request: dict[str, Any], seed: int, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
        """Every tensor of a request, including those outside the state dict, one after the other as they arrive.

        ``name`` fetches the catalogue's model of that name instead of the request, which describes its tensors.
        """
        asked: dict[str, Any] = {"seed": seed, "format": "safetensors"}
        if any(not entry.get("persistent", True) for entry in request["tensors"]):
            asked["include"] = [entry["name"] for entry in request["tensors"]]
        if name:
            query = {key: value if isinstance(value, str) else json.dumps(value) for key, value in asked.items()}
            get = urllib.request.Request(f"{self.url}/models/{name}?{urllib.parse.urlencode(query)}")
            yield from _received(get)
        else:
            body = json.dumps(request | asked).encode()
            yield from _received(urllib.request.Request(self.url + "/init", body, {"Content-Type": "application/json"}))


def _received(asked: urllib.request.Request) -> Iterator[tuple[str, torch.Tensor]]:
    try:
        reply = urllib.request.urlopen(asked, timeout=600)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"HTTP {error.code}: {error.read(2000).decode(errors='replace')}") from None
    with reply:
        for member in read_header(reply.read).members:
            tensor = torch.empty(member.shape, dtype=DTYPES[NAMES[member.dtype]])
            target = memory(tensor)
            if reply.readinto(target) != len(target):
                raise RuntimeError(f"the reply ends within {member.name}")
            yield member.name, tensor
