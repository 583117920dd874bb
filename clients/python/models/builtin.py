"""Exports the service's built-in models: requests, and configs of transformers.

    builtin.py models.bin           writes the file that the program embeds
    builtin.py models.bin --check   exports them anew and compares

The file is the length of a list (4 bytes, little-endian), the list in JSON, and zlib streams: for each model `init.json`, and
`config.json` if transformers needs one. The list also has the cost of planning a model: tensors, and bytes of literals.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import os
import pathlib
import sys
import warnings
import zlib
from dataclasses import dataclass
from typing import Any, Iterator

# As check.py says.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

import catalogue

HERE = pathlib.Path(__file__).parent


@dataclass
class Model:
    name: str
    description: str
    constructor: str
    files: dict[str, bytes]
    tensors: int = 0
    parameters: int = 0
    bytes: int = 0
    #: Bytes of all literals in the request's text, and of their elements.
    literal_text: int = 0
    literal_bytes: int = 0

    def build(self) -> catalogue.Build:
        """The model's constructor."""
        from weight_init.loading import constructor

        return constructor(str(HERE / self.constructor) if self.constructor.startswith("small.py") else self.constructor)

    @property
    def is_large(self) -> bool:
        """True if the model is too large to be built whole: check_large.py compares pieces of it."""
        return catalogue.count(self.build()) > catalogue.LARGEST


def listed() -> Iterator[Model]:
    for line in (HERE / "builtin.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, description, constructor = (part.strip() for part in line.split("|", 2))
            yield Model(name, description, constructor, {})


def export(model: Model) -> None:
    """Fills in the request, the config and the sizes."""
    from weight_init import dumps, trace

    build = model.build()
    request = trace(build, device="meta", description=model.description)
    model.files["init.json"] = dumps(request).encode()
    sent = [entry for entry in request["tensors"] if entry.get("persistent", True)]
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = build()
    parameters = {name for name, _ in module.named_parameters()}
    model.tensors = len(sent)
    model.parameters = sum(math.prod(entry["shape"]) for entry in sent if entry["name"] in parameters)
    dtype = request.get("dtype", "float32")
    model.bytes = sum(math.prod(entry["shape"]) * getattr(torch, entry.get("dtype", dtype)).itemsize for entry in sent)
    for text, elements in literals(request):
        model.literal_text += text
        model.literal_bytes += elements
    if hasattr(module, "config"):
        model.files["config.json"] = config(module).encode()


def literals(value: Any) -> Iterator[tuple[int, int]]:
    """Bytes of each literal in a request: in base64, and of its elements."""
    for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else []:
        yield from literals(item)
    if isinstance(value, dict) and value.get("method") == "data":
        text = value["zlib" if "zlib" in value else "base64"]
        data = base64.b64decode(text)
        yield len(text), len(zlib.decompress(data) if "zlib" in value else data)


def config(module: Any) -> str:
    """A config.json in the Hub's form, which both transformers 4 and 5 read."""
    module.config.architectures = [type(module).__name__]
    members = module.config.to_diff_dict()
    members.pop("transformers_version", None)
    # transformers 5 writes `dtype` and `rope_parameters`; 4 reads the older names, and 5 reads both.
    if "dtype" in members:
        members["torch_dtype"] = members.pop("dtype")
    if "rope_parameters" in members:
        rope = members.pop("rope_parameters")
        if set(rope) != {"rope_theta", "rope_type"} or rope["rope_type"] != "default":
            raise SystemExit(f"{rope}: transformers 4 has no name for it")
        members["rope_theta"] = rope["rope_theta"]
    return json.dumps(members, indent=2, sort_keys=True) + "\n"


def packed(models: list[Model]) -> bytes:
    streams = bytearray()
    entries = []
    for model in models:
        files = []
        for name, content in sorted(model.files.items()):
            stream = zlib.compress(content, 9)
            files.append({"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                          "at": len(streams), "packed": len(stream)})
            streams += stream
        entries.append({"name": model.name, "description": model.description, "tensors": model.tensors,
                        "parameters": model.parameters, "bytes": model.bytes,
                        "literal_text": model.literal_text, "literal_bytes": model.literal_bytes, "files": files})
    entries.sort(key=lambda entry: entry["name"])
    head = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    return len(head).to_bytes(4, "little") + head + streams


def unpacked(data: bytes) -> dict[str, dict[str, bytes]]:
    """The files of each model."""
    length = int.from_bytes(data[:4], "little")
    streams = data[4 + length:]
    return {
        entry["name"]: {
            file["name"]: zlib.decompress(streams[file["at"]:file["at"] + file["packed"]]) for file in entry["files"]
        }
        for entry in json.loads(data[4:4 + length])
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path, help="the file that the program embeds")
    parser.add_argument("--check", action="store_true", help="compare with it instead of writing it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    catalogue.declare_torchvision_operators()
    models = list(listed())
    for model in models:
        export(model)
        print(f"{model.name:24} {model.tensors:4} tensors {model.parameters:14,} parameters "
              f"{len(model.files['init.json']):8} bytes", flush=True)
    if not options.check:
        options.file.write_bytes(packed(models))
        print(f"{options.file}: {options.file.stat().st_size} bytes")
        return
    there = unpacked(options.file.read_bytes())
    differing = sorted({model.name for model in models if there.get(model.name) != model.files} | (set(there) - {m.name for m in models}))
    sys.exit(f"{', '.join(differing)}: not what is exported now; run `make models`" if differing else 0)


if __name__ == "__main__":
    main()
