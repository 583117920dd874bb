"""The program under test, and tensors from it."""

from __future__ import annotations

import json
import signal
import subprocess
import types
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Iterator

import torch

from weight_init.client import memory
from weight_init.literals import DTYPES
from weight_init.safetensors import NAMES, read_header

_OPTIONS = ("--max-body-bytes", str(64 << 20), "--max-tensors", "200000", "--max-layers", "200000")


class Service:
    """``weight-init serve`` with more options, on a free port, until the ``with`` block ends."""

    def __init__(self, program: str, *options: str) -> None:
        self.program, self.options = program, (*_OPTIONS, *options)

    def __enter__(self) -> Service:
        self.process = subprocess.Popen(
            [self.program, "serve", "--host", "127.0.0.1", "--port", "0", *self.options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"{self.program} did not start: {line!r}")
        self.url = line.split()[-1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: types.TracebackType | None) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

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
