"""Checks models that are too large to be built: Llama 3 70B's constructor, and large built-in models of the service.

    check_large.py PROGRAM

Llama 3 70B is exported without memory for its weights, within limits on time and memory. Then, for each large model of
the catalogue, names, shapes and dtypes must be those of the library's module; each tensor must begin at the word
counted for its constructor; and pieces of its weights must equal PyTorch's at these words of the stream.
"""

from __future__ import annotations

import http.client
import json
import resource
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import torch

import builtin
import catalogue
from comparison import SEED
from positions import seek
from tensors import Service
from weight_init import words
from weight_init.literals import DTYPES, raw_bytes
from weight_init.safetensors import NAMES, read_header

#: Limits on the export.
MAX_SECONDS, MAX_BYTES = 180, 4 << 30
#: Elements of a piece; a multiple of 16, so that PyTorch makes it alone as it does within its tensor.
PIECE = 1 << 16


def export(file: Path) -> None:
    """Runs the exporter's command, and measures its time and memory."""
    begun = time.monotonic()
    constructor = Path(__file__).with_name("llama3_70b.py")
    subprocess.run([sys.executable, "-m", "weight_init", "trace", "--quiet", "--device", "meta", constructor, "-o", file], check=True)
    seconds = time.monotonic() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = used.ru_maxrss << 10
    print(f"llama3_70b: exported in {seconds:.0f} s ({used.ru_utime + used.ru_stime:.0f} s of a processor) "
          f"with {peak / 1e9:.2f} GB, {file.stat().st_size / 1e3:.0f} kB", flush=True)
    if seconds > MAX_SECONDS or peak > MAX_BYTES:
        sys.exit(f"the export takes more than {MAX_SECONDS} s or {MAX_BYTES >> 30} GiB")


def arithmetic(module: Any) -> dict[str, int]:
    """The word at which each drawn tensor begins, and the total number of words as "", counted from the modules alone.

    A causal language model of transformers constructs the layers of its base, initialises these anew in the order of its modules,
    constructs its head, and initialises that anew.
    """

    def constructed(part: torch.nn.Module) -> int:
        if isinstance(part, torch.nn.Embedding):
            return words.normal(part.weight.numel(), part.weight.dtype)
        return words.uniform(part.weight.numel(), part.weight.dtype) if isinstance(part, torch.nn.Linear) else 0

    head = module.get_output_embeddings()
    drawn = [(name + ".weight", part) for name, part in module.named_modules() if isinstance(part, (torch.nn.Linear, torch.nn.Embedding))]
    at, starts = 0, {}
    for mine in ([pair for pair in drawn if pair[1] is not head], [pair for pair in drawn if pair[1] is head]):
        at += sum(constructed(part) for _, part in mine)
        for name, part in mine:
            starts[name] = at
            at += words.normal(part.weight.numel(), part.weight.dtype)
    return starts | {"": at}


def compare(model: builtin.Model, service: Service) -> None:
    """Compares names, shapes, dtypes, places in the stream and pieces of a model of the catalogue."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = model.build()()
    with urllib.request.urlopen(f"{service.url}/models/{model.name}?seed={SEED}&format=safetensors", timeout=60) as reply:
        members = {m.name: (tuple(m.shape), DTYPES[NAMES[m.dtype]]) for m in read_header(reply.read).members}
    state = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in module.state_dict().items()}
    if members != state:
        sys.exit(f"{model.name}: its tensors are not the module's: {sorted(set(members.items()) ^ set(state.items()))[:4]}")

    with urllib.request.urlopen(f"{service.url}/{model.name}/resolve/main/init.json", timeout=60) as reply:
        request = reply.read()
    asked = urllib.request.Request(service.url + "/explain", request, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as reply:
        plan = json.load(reply)
    told = {entry["name"]: entry["start"]["word"] for entry in plan["tensors"] if entry.get("words")} | {"": plan["words"]}
    starts = arithmetic(module)
    if told != starts:
        wrong = next(name for name in starts if told.get(name) != starts[name])
        sys.exit(f"{model.name}: {wrong or 'the whole'} at word {told.get(wrong)}, by the modules at {starts[wrong]}")

    drawn = [name for name in starts if name]
    compared = 0
    for name in (drawn[0], drawn[1], drawn[2], drawn[len(drawn) // 2], drawn[-2], drawn[-1]):
        rows, columns = state[name][0]
        size = PIECE // columns
        for row in (0, rows - size):
            seek(SEED, starts[name] + row * columns)
            expected = torch.empty(size, columns, dtype=state[name][1]).normal_(0, module.config.initializer_range)
            query = {"seed": SEED, "format": "safetensors", "include": name, "slices": json.dumps({name: f"{row}:{row + size}"})}
            with urllib.request.urlopen(f"{service.url}/models/{model.name}?{urllib.parse.urlencode(query)}", timeout=60) as reply:
                read_header(reply.read)
                made = reply.read()
            if made != raw_bytes(expected):
                sys.exit(f"{model.name}: rows {row} to {row + size} of {name} differ from PyTorch's")
            compared += 1
    print(f"{model.name}: {len(state)} tensors have the module's shapes, {len(drawn)} begin at the words counted, {compared} pieces "
          f"equal PyTorch's, the last from word {starts[drawn[-1]]} of the stream", flush=True)


def address(request: dict[str, Any], service: Service) -> None:
    """Reads a piece of the whole file by its range, and measures the time to its first byte."""
    query = urllib.parse.urlencode({"request": json.dumps(request | {"seed": SEED, "format": "safetensors"}, separators=(",", ":"))})
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(service.url).netloc)
    lengths, waited = [], []
    for first in (0, 70_000_000_000, 141_000_000_000, 100_000_000_000):
        begun = time.monotonic()
        connection.request("GET", f"/init?{query}", headers={"Range": f"bytes={first}-{first + 4095}"})
        reply = connection.getresponse()
        reply.read(1)
        waited.append(time.monotonic() - begun)
        reply.read()
        if reply.status != 206:
            sys.exit(f"a range is answered with {reply.status}")
        lengths.append(int(reply.headers["Content-Range"].partition("/")[2]))
    print(f"llama3_70b: {lengths[0] / 1e9:.0f} GB; first bytes of ranges after {', '.join(f'{1e3 * t:.0f}' for t in waited)} ms", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "llama3_70b.json")
        export(file)
        request = json.loads(file.read_text())
    catalogue.declare_torchvision_operators()
    with Service(sys.argv[1]) as service:
        for model in builtin.listed():
            if model.is_large:
                compare(model, service)
    # The whole request is in the URL.
    with Service(sys.argv[1], "--max-head-bytes", str(1 << 20)) as service:
        address(request, service)


if __name__ == "__main__":
    main()
