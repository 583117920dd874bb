"""Writes the seed corpus for fuzzing: a folder of inputs for each target, and a dictionary of words in the sources.

The inputs are the examples of openapi.yaml, the small requests of Tests/GoldenVectors, and the models of examples/models.
Tests/Fuzzing/Sources describes their forms. Inputs that once found a fault are in Tests/Fuzzing/found.

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
    """Every example in any part of a contract."""
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
    """Queries for single tensors, and for /gain and /fan."""
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
    """A value in the form of a query."""
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
    for pieces in range(4):
        for head in heads():
            yield "head", bytes([pieces]) + head
    for kind in range(16):
        for repeated in (0, 3, 15):
            for text in texts():
                yield "name", bytes([kind, repeated]) + text.encode()
    for model in models():
        yield "model", json.dumps(model, separators=(",", ":")).encode()
    extremes = "-9223372036854775808:9223372036854775807"
    for notation in ("1:3,-2:", ":,::", "0:512", ":-1,:", "", extremes, "3", " 1 : 2 , :"):
        yield "slice", bytes([2, 5, 4]) + notation.encode()
        yield "slice", bytes([0x81]) + b"\xff" * 8 + notation.encode()


def heads():
    """Bytes that a client sends on a connection: requests of every kind, and bytes that are not a request."""
    host = b" HTTP/1.1\r\nHost: a\r\n"
    for path in (b"/", b"/s", b"/b", b"/f", b"/d", b"/n", b"/k", b"*", b"/%00?a=b"):
        yield b"GET " + path + host + b"\r\n"
        yield b"HEAD " + path + host + b"Connection: close\r\n\r\n"
        yield (b"GET " + path + host + b"\r\n") * 3
        yield b"GET " + path + b" HTTP/1.0\r\n\r\n"
    for length in (b"5", b"0", b"-1", b"+5", b"5, 5", b"", b"18446744073709551616"):
        yield b"POST /" + host + b"Content-Length: " + length + b"\r\n\r\nhelloGET /" + host + b"\r\n"
    for coding in (b"chunked", b"Chunked", b"gzip", "chun\u212aed".encode()):
        for body in (b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5;a=b\nhello\n0\r\nX: y\r\n\r\n", b"fffffffff\r\n", b"400\r\n" + b"a" * 1024):
            yield b"POST /k" + host + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + body
    yield b"POST /" + host + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
    yield b"POST /" + host + b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
    yield b"POST /" + host + b"Content-Length: 1500\r\n\r\n" + b"a" * 1500 + b"GET /" + host + b"\r\n"
    for host in (b"a:x", b"[::1", b"[::1]:80", b"a:99999", b"\xe4"):
        yield b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


def texts():
    """Texts whose halves are the same, nearly the same, or look the same."""
    yield from ("a\0a", "a\0b", "\0", "*.bias\0*", "Linear\0bias", "5\0normal", "W/\"x\"\0bytes=0-1", "fan_in\0relu", ":,1:2\0slice")
    yield from ("a\u0301\u0323\0a\u0323\u0301", "\u00e9\0e\u0301", "K\0\u212a", "\U0001d173\0\ufb1d", "*a*b*c\0aaaaaaaab", "\uac00\0\u1100\u1161")


def models():
    """Models at the limits that ModelTarget.swift sets, just inside and just outside."""
    linear = {"type": "Linear", "in_features": 1, "out_features": 1}
    for count in (23, 24, 25, 32, 33):
        yield {"layers": [linear] * count}
        yield {"layers": [{"repeat": count, "layers": [linear]}]}
        yield {"layers": [{"name": "h{}", "repeat": count, "layers": [{"type": "ReLU"}, linear]}], "seeding": "per_tensor"}
        yield {"layer": {"type": "LSTM", "input_size": 1, "hidden_size": 1, "num_layers": count // 4, "bidirectional": True}}
        yield {"tensors": [{"method": "normal", "shape": [count]}] * 2 * count}
        yield {"layers": [linear | {"name": "n" * (40 + count)}]}
        rules = [{"name": f"*a*b*{index}", "method": "zeros"} for index in range(count - 1)] + [{"name": "*", "method": "ones"}]
        yield {"layers": [linear] * 24, "rules": rules}
        yield {"layers": [linear] * 24, "rules": [rules[-1:]] * count}
        yield {"layers": [linear] * 24, "tie": {f"{index}.weight": "0.weight" for index in range(1, count)}}
        yield {"layers": [linear] * 24, "slices": {f"{index}.weight": "0:1" for index in range(count)}}
        yield {"layers": [linear] * 24, "include": [f"{index}.*" for index in range(count)]}
        yield {"tensors": [{"shape": [count]}], "steps": [{"tensor": "0", "method": "normal"}] + [{"tensor": "0", "method": "add", "value": 1}] * count}
    nested = linear
    for _ in range(8):
        nested = {"layers": [nested]}
        yield {"layers": [nested]}
    encoder = {"type": "TransformerEncoderLayer", "d_model": 4, "nhead": 2, "dim_feedforward": 3}
    for count in (3, 4, 5):
        yield {"layer": {"type": "TransformerEncoder", "encoder_layer": encoder, "num_layers": count}, "cast": "bfloat16"}
    yield {"tensors": [{"method": "zeros", "shape": [1 << 38]}, {"method": "normal", "shape": [1 << 20, 1 << 18]}]}


def words():
    """Short words in quotation marks, of the sources that read requests."""
    for folder in ("WeightInit", "TensorFormats", "InitService", "HTTPDaemon"):
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
