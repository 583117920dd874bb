"""Writes what fuzzing starts from: a folder of inputs for each target, and a dictionary of the words that sources know.

The inputs are the examples of openapi.yaml, the small requests of Tests/GoldenVectors, and the models of examples/models.
Their forms are those that Tests/Fuzzing/Sources describes. Inputs that once broke something lie in Tests/Fuzzing/found.

    python make_corpus.py .build/fuzz/seeds
"""

import hashlib
import json
import math
import pathlib
import re
import shutil
import sys
from urllib.parse import quote, urlencode

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOUND = pathlib.Path(__file__).resolve().parent / "found"
VECTORS = ROOT / "Tests" / "GoldenVectors" / "visible"
QUERY, QUERIED_JSON, BODY = b"\0", b"\1", b"\2"


def examples(node):
    """Every example of a contract, wherever it stands."""
    if isinstance(node, dict):
        if "example" in node:
            yield node["example"]
        for example in node.get("examples", {}).values() if isinstance(node.get("examples"), dict) else []:
            yield example["value"]
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from examples(child)


def requests():
    """Requests for tensors and models, as JSON."""
    contract = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    for example in examples(contract["components"]["requestBodies"]):
        yield example
    for line in (VECTORS / "cases.jsonl").read_text().splitlines():
        case = json.loads(line)
        if case["kind"] == "init" and math.prod(case["shape"]) <= 1024:
            yield {key: case[key] for key in ("method", "shape", "seed", "dtype")} | case["params"]
    for line in (VECTORS / "models.jsonl").read_text().splitlines():
        case = json.loads(line)
        layers = [{"type": layer["type"], **layer["args"]} for layer in case["layers"]]
        yield {"seed": case["seed"], "dtype": case["dtype"], "layers": layers}
    for path in sorted((ROOT / "examples" / "models").glob("*.json")):
        yield json.loads(path.read_text())


def queries():
    """Queries of one tensor, and of the theory."""
    for request in requests():
        if "method" in request:
            flat = {name: text(value) for name, value in request.items()}
            for format in ("json", "raw", "npy", "safetensors", "summary"):
                yield "/init?" + urlencode({**flat, "format": format}, safe=",:")
        yield "/init?request=" + quote(json.dumps(request), safe=",:")
    yield "/gain?nonlinearity=leaky_relu&param=0.2"
    yield "/fan?shape=64,3,7,7&groups=2&transposed=true&layout=keras&mode=fan_in"
    yield "/init?method=normal&shape=4,6&slice=1:3,-2:&seed=-1"


def text(value):
    """A value as a query has it."""
    match value:
        case list():
            return ",".join(map(str, value))
        case dict():
            return ":".join(map(str, value.values()))
        case _:
            return str(value)


def inputs():
    """The target of each input, and its bytes."""
    for query in queries():
        yield "query", query.encode()
        if query.startswith("/init?request="):
            continue
        yield "plan", QUERY + query.partition("?")[2].encode()
    for request in requests():
        written = json.dumps(request, separators=(",", ":")).encode()
        yield "json", written
        for form in (QUERIED_JSON, BODY):
            yield "plan", form + written
            yield "plan", form + written[:-1] + b',"format":"safetensors"}'
    lines = [
        ("bytes=0-1023", '"6d0c2a5e6a1f4b0e9d3c7b8a99887766", W/"x"', "application/x-npy, */*;q=0.1"),
        ("bytes=-16", "*", 'application/json;q=0.5;v="a,b", text/*'),
        ("bytes = 5-", 'W/""', "application/json;q=0, application/octet-stream"),
        ("bytes=9-5", '"a" , "b"', "*/*"),
        ("bytes=0-1,4-5", "", ""),
        ("items=99999999999999999999-", '"', "q=1"),
    ]
    for fields in lines:
        for length in (0, 1, 1024, (1 << 64) - 1):
            yield "range", length.to_bytes(8, "big") + "\n".join(fields).encode()
    extremes = "-9223372036854775808:9223372036854775807"
    for notation in ("1:3,-2:", ":,::", "0:512", ":-1,:", "", extremes, "3", " 1 : 2 , :"):
        yield "slice", bytes([2, 5, 4]) + notation.encode()
        yield "slice", bytes([0x81]) + b"\xff" * 8 + notation.encode()


def words():
    """Short words in quotation marks, of the sources that read requests."""
    for folder in ("WeightInit", "TensorFormats", "InitService"):
        for path in sorted((ROOT / "Sources" / folder).rglob("*.swift")):
            yield from re.findall(r'"([A-Za-z0-9_./*=-]{1,24})"', path.read_text())


def main():
    seeds = pathlib.Path(sys.argv[1])
    shutil.rmtree(seeds, ignore_errors=True)
    count = 0
    for target, content in inputs():
        folder = seeds / target
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath(hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
        count += 1
    for path in FOUND.glob("*/*"):
        shutil.copy(path, seeds / path.parent.name)
        count += 1
    dictionary = sorted({*words(), '"', "[", "]", "{", "}", ":", ",", "&", "=", "%", "1e308", "9223372036854775807"})
    escaped = [word.replace("\\", "\\\\").replace('"', '\\"') for word in dictionary]
    seeds.joinpath("words").write_text("".join(f'"{word}"\n' for word in escaped))
    print(f"make_corpus: {count} inputs and {len(dictionary)} words in {seeds}")


if __name__ == "__main__":
    main()
