"""Compares openapi.yaml and a running weight-init, in both directions.

The program's routes, their parameters, and its tables of methods and formats have to be the contract's. Each status
that the contract declares has to come back for some request. schemathesis sends requests that the contract allows, and
others: every status, media type, field and document that comes back has to be declared. openapi.yaml must have no
anchors, and openapi.json must be made from it.

    python check_contract.py .build/release/weight-init
"""

import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import checks
import jsonschema
import make_contract
import model_requests
import yaml
from check_formats import expect
from service import ROOT, Service

HERE = pathlib.Path(__file__).resolve().parent
JSON = {"Content-Type": "application/json"}
# Limits so small that no generated request takes long, and that some requests exceed them.
LIMITS = (
    "--max-tensor-bytes", "65536", "--max-json-elements", "4096", "--max-summary-elements", "65536",
    "--max-counted-elements", "65536", "--max-matrix-elements", "65536", "--max-head-bytes", "131072",
    "--max-propagated-weights", "65536", "--max-layers", "100", "--models", str(HERE / "contract" / "models"),
)  # fmt: skip
# Values for the parts of paths in braces.
PARTS = {"org": "acme", "name": "small", "revision": "seed-1", "file": "init.json", "path": "sub"}


def place(path, **other):
    """A path with a value for each part in braces."""
    return path.format(**PARTS | other)


class Contract:
    def __init__(self, text):
        self.root = yaml.safe_load(text)

    def resolve(self, node):
        while "$ref" in node:
            found = self.root
            for name in node["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            node = found
        return node

    def schema(self, name):
        return self.root["components"]["schemas"][name]

    def operations(self):
        for path, operations in self.root["paths"].items():
            for method, operation in operations.items():
                if method != "parameters":
                    yield path, method.upper(), operation

    def parameters(self, operation, place="query"):
        parameters = map(self.resolve, operation.get("parameters", []))
        return {parameter["name"]: parameter for parameter in parameters if parameter["in"] == place}

    def alternatives(self, schema):
        """The objects that a schema allows."""
        schema = self.resolve(schema)
        for key in ("oneOf", "anyOf", "allOf"):
            for alternative in schema.get(key, []):
                yield from self.alternatives(alternative)
        if "properties" in schema:
            yield schema

    def values(self, schema):
        """The values of all enumerations in a schema."""
        schema = self.resolve(schema)
        words = list(schema.get("enum", []))
        for alternative in schema.get("anyOf", []) + schema.get("oneOf", []):
            words += self.values(alternative)
        return words


class Reply:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    @property
    def media_type(self):
        return self.fields.get("Content-Type", "").partition(";")[0]

    def json(self):
        return yaml.safe_load(self.body)


def ask(service, method, target, fields=None, body=None):
    request = urllib.request.Request(service.url + target, body, fields or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return Reply(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.headers, error.read())


def check_files(text):
    """openapi.yaml has no anchors and aliases, because generators would expand them into unnamed types."""
    marked = [f"line {event.start_mark.line + 1}" for event in yaml.parse(text) if getattr(event, "anchor", None)]
    expect(not marked, f"openapi.yaml has anchors or aliases, use components: {', '.join(marked)}")
    expect(make_contract.JSON.read_text() == make_contract.contract(), "openapi.json is old: run make_contract.py")


def same(what, declared, found):
    declared, found = set(declared), set(found)
    expect(declared == found, f"{what}: only openapi.yaml has {declared - found}, only the code {found - declared}")


def check_routes(contract, service):
    """Paths and their methods; OPTIONS is answered everywhere and not declared."""
    found = ask(service, "GET", "/there-is-nothing-here").json()["errors"][0]["allowed"]
    same("paths", contract.root["paths"], found)
    for path, operations in contract.root["paths"].items():
        allow = ask(service, "OPTIONS", place(path)).fields["Allow"].split(", ")
        declared = [method.upper() for method in operations if method != "parameters"]
        same(f"methods of {path}", declared + ["OPTIONS"], allow)


def names(service, path, query):
    """The further parameters of a route, from its error about an unknown one."""
    return ask(service, "GET", f"{path}?{query}&there-is-no-such-member=1").json()["errors"][0]["allowed"]


def check_parameters(contract, service, catalogue):
    """Query parameters of every route, and members of every body."""
    of_methods = {parameter["name"] for method in catalogue["methods"] for parameter in method["parameters"]}
    of_tensors = {parameter["name"] for parameter in catalogue["parameters"]}
    taken = {
        "/init": of_tensors | of_methods,
        "/init/{file}": of_tensors | of_methods,
        "/explain": of_tensors | of_methods,
        "/gain": set(names(service, "/gain", "")),
        "/fan": set(names(service, "/fan", "shape=2,2")),
        "/models/{org}/{name}": set(names(service, place("/models/{org}/{name}"), "")),
        "/propagate": {
            parameter["name"]
            for parameters in [catalogue["propagate"]["parameters"]]
            + [method["parameters"] for method in catalogue["propagate"]["methods"]]
            for parameter in parameters
        },
    }
    for path, method, operation in contract.operations():
        if method != "POST":
            declared = contract.parameters(operation)
            same(f"{method} {path}", declared, taken[path] | {"request"} if path in taken else set())
    for path in ("/gain", "/fan", "/propagate"):
        body = contract.root["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        members = {name for schema in contract.alternatives(body) for name in schema["properties"]}
        if body.get("additionalProperties", True):
            members |= {name for method in catalogue["propagate"]["methods"] for name in map(name_of, method["parameters"])}
        same(f"POST {path}", members, taken[path])


def check_tables(contract, catalogue):
    """Members of tensors and models, formats and their media types, dtypes, activations."""
    of_methods = [parameter for method in catalogue["methods"] for parameter in method["parameters"]]
    taken = {name for parameter in catalogue["parameters"] + of_methods for name in spellings(parameter)}
    same("members of a tensor", contract.schema("TensorRequest")["properties"], taken)
    formats = {format["name"]: format for format in catalogue["formats"]}
    same("formats", contract.values(contract.schema("Format")), formats)
    tensor = contract.root["components"]["responses"]["tensor"]["content"]
    same("media types", tensor, {format["media_type"] for format in formats.values()})
    same("dtypes", contract.values(contract.schema("DType")), [dtype["name"] for dtype in catalogue["dtypes"]])
    torch = [each["name"] for each in catalogue["activations"] if each["convention"] == "torch"]
    same("PyTorch's activations", contract.values(contract.schema("TorchNonlinearity")), torch)
    for form, members in catalogue["models"]["requests"].items():
        schema = contract.schema({"layer": "LayerRequest", "layers": "LayersRequest", "tensors": "TensorsRequest"}[form])
        same(f"members beside {form}", schema["properties"], [member["name"] for member in members])
    forms = ("TensorRequest", "LayerRequest", "LayersRequest", "TensorsRequest")
    for whole, parts in (("InitRequest", forms), ("Entry", ("LayerEntry", "BlockEntry", "ParameterEntry"))):
        members = {name for part in parts for name in contract.schema(part)["properties"]}
        same(f"members of {whole}", contract.schema(whole)["properties"], members)
    rule = [member["name"] for member in catalogue["models"]["rule"]]
    same("members of a rule", contract.schema("Rule")["properties"], rule)


# What neither the contract nor the service takes.
WRONG = (
    {}, {"seed": 1}, {"method": "normal"}, {"shape": [1]}, {"layers": [], "tensors": []}, {"layers": [], "layer": {"type": "ReLU"}},
    {"layers": [], "method": "normal"}, {"layer": {"type": "ReLU"}, "shape": [1]}, {"tensors": [], "defaults": True},
    {"method": "normal", "shape": [1], "rules": []}, {"method": "normal", "shape": [1], "layers": []},
    {"layers": [{"name": "a"}]}, {"layers": [{"type": "Parameter"}]}, {"layers": [{"type": "nn.Parameter"}]},
    {"layers": [{"type": "ReLU", "layers": []}]}, {"layers": [{"layers": [], "shape": [1]}]},
    {"layers": [{"layers": [{"type": "Parameter", "shape": [1], "persistent": 1}]}]},
)  # fmt: skip


def check_forms(contract, program):
    """The contract takes each request that the service takes, in one of the forms that it has. Models are over the other checks' limits."""
    schema = {"$ref": "#/components/schemas/InitRequest", "components": contract.root["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    with Service(program, "--max-body-bytes", "4194304") as service:
        requests = model_requests.named(service)
        for name, request in [*requests.items(), *(("", request) for request in WRONG)]:
            reply = ask(service, "POST", "/explain", JSON, json.dumps(request).encode())
            expected = 200 if name in requests else 400
            expect(reply.status == expected, f"{name} {json.dumps(request)[:200]} gets {reply.status}: {reply.body[:300]}")
            errors = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(request)]
            expect(bool(errors) != (name in requests), f"{name} {json.dumps(request)[:200]}: {errors}")


def name_of(named):
    return named["name"]


def spellings(named):
    return [named["name"], *named.get("aliases", [])]


TENSOR = "method=normal&shape=4"
QUESTIONS = {
    "/init": (TENSOR, b'{"method":"normal","shape":[4]}'),
    "/explain": (TENSOR, b'{"method":"normal","shape":[4]}'),
    "/gain": ("nonlinearity=relu", b'{"nonlinearity":"relu"}'),
    "/fan": ("shape=6,4", b'{"shape":[6,4]}'),
    "/propagate": ("depth=2&runs=0", b'{"depth":2,"runs":0}'),
}
REFUSED = {
    "/init": ("method=xavier_normal&shape=4", b'{"method":"xavier_normal","shape":[4]}'),
    "/explain": ("method=xavier_normal&shape=4", b'{"method":"xavier_normal","shape":[4]}'),
    "/gain": ("nonlinearity=celu&param=0", b'{"nonlinearity":"celu","param":0}'),
    "/fan": ("shape=4", b'{"shape":[4]}'),
    "/propagate": ("method=uniform&a=1&b=2", b'{"method":"uniform","a":1,"b":2}'),
}


def provocations(path, method):
    """Requests that get each status; a declared status without a request is an error."""
    if path == "/init/{file}":
        # The extension sets the format, so that Accept has no effect.
        return {
            status: (target.replace("/init", place(path, file="w.raw"), 1), fields, body)
            for status, (target, fields, body) in provocations("/init", method).items()
        } | {
            "404": (f"/init/w.txt?{TENSOR}", {}, None) if method != "POST" else ("/init/w.txt", JSON, b"{}"),
            "406": (f"/init/w.npy?{TENSOR}&dtype=bfloat16", {}, None)
            if method != "POST"
            else ("/init/w.npy", JSON, b'{"method":"normal","shape":[4],"dtype":"bfloat16"}'),
        }
    if "{" in path or path == "/models":
        file = place(path) + ("?format=safetensors" if path == "/models/{org}/{name}" else "")
        return {
            "200": (file, {}, None),
            "206": (file, {"Range": "bytes=0-3"}, None),
            "304": (file, {"If-None-Match": "*"}, None),
            "400": (place(path) + "?there-is-no-such-member=1", {}, None),
            "404": (place(path, name="none"), {}, None),
            "406": (place(path), {"Accept": "text/html"}, None),
            "412": (file, {"If-Match": '"another"'}, None),
            # Too many elements for JSON.
            "413": (place(path) + "?format=json", {}, None),
            "416": (file, {"Range": "bytes=9999999-"}, None),
        }
    query, body = QUESTIONS.get(path, ("", b""))
    refused_query, refused_body = REFUSED.get(path, ("", b""))
    target = f"{path}?{query}"
    if method == "POST":
        return {
            "200": (path, JSON, body),
            "400": (path, JSON, b"{"),
            "406": (path, {**JSON, "Accept": "text/html"}, body),
            "413": (path, JSON, body.replace(b"[", b"[99999999999999999999,").replace(b':2', b':1000000000')),
            "415": (path, {"Content-Type": "text/plain"}, body),
            "422": (path, JSON, refused_body),
        }
    return {
        "200": (target, {}, None),
        "206": (target + "&format=raw", {"Range": "bytes=0-3"}, None),
        "304": (target, {"If-None-Match": "*"}, None),
        "400": (target + "&there-is-no-such-member=1", {}, None),
        "406": (target, {"Accept": "text/html"}, None),
        "412": (target, {"If-Match": '"another"'}, None),
        "413": (target.replace("shape=", "shape=99999999999999999999,").replace("=2", "=1000000000"), {}, None),
        "416": (target + "&format=raw", {"Range": "bytes=16-"}, None),
        "422": (f"{path}?{refused_query}", {}, None),
    }


# Other tests have services with tokens, busy services and draining ones.
UNPROVOKED = {"401", "503", "default"}


def check_statuses(contract, service):
    for path, method, operation in contract.operations():
        requests = provocations(path, method)
        missing = set(operation["responses"]) - set(requests) - UNPROVOKED
        expect(not missing, f"{method} {path}: nobody knows how to get {missing}")
        for status, (target, fields, body) in requests.items():
            if status not in operation["responses"]:
                continue
            reply = ask(service, method, target, fields, body)
            expect(str(reply.status) == status, f"{method} {target} gets {reply.status}, not {status}: {reply.body[:200]}")
            if method == "HEAD":
                continue
            declared = contract.resolve(operation["responses"][status]).get("content", {})
            expect(
                reply.media_type in declared or not declared and not reply.body,
                f"{method} {target}: {reply.media_type} is not declared for {status}",
            )


def check_problems(contract, service):
    """The types of problems are sections of docs/problems.md."""
    sections = set(re.findall(r"^## (\S+)$", (ROOT / "docs" / "problems.md").read_text(), re.MULTILINE))
    for path, method, operation in contract.operations():
        for status, (target, fields, body) in provocations(path, method).items():
            if status < "400" or method == "HEAD" or status not in operation["responses"]:
                continue
            kind = ask(service, method, target, fields, body).json()["type"]
            expect(kind.removeprefix("/docs/problems#") in sections, f"{kind} is not in docs/problems.md")


def refine(contract, catalogue):
    """The contract with details that it leaves to /methods: the known names, and the parameters of each method. Kinds
    of replies that the contract describes as one object are separate.

    A schema for each kind of tensor is more exact, but generators of clients would make a class of each.
    """
    schemas = contract.root["components"]["schemas"]
    flat = schemas["TensorRequest"]["properties"]
    shared = [parameter["name"] for parameter in catalogue["parameters"]]
    variants = []
    for method in catalogue["methods"]:
        for required, excluded in choices(method["parameters"]):
            taken = shared + [name for each in method["parameters"] for name in spellings(each) if name not in excluded]
            variants.append({
                "type": "object", "additionalProperties": False, "required": ["method", "shape", *required],
                "properties": {name: flat[name] for name in taken} | {"method": {"enum": spellings(method)}},
            })  # fmt: skip
    schemas["TensorRequest"] = {"oneOf": variants}
    # Alternatives instead of conditions, which schemathesis makes nothing from.
    forms = ("TensorRequest", "LayerRequest", "LayersRequest", "TensorsRequest")
    schemas["InitRequest"] = {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in forms]}
    entries = ("LayerEntry", "BlockEntry", "ParameterEntry")
    schemas["Entry"] = {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in entries]}
    gains = ("Real", "GainOfActivation")
    schemas["GainArgument"] = {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in gains]}
    for name, kind in (("LayerEntry", {"type": "string", "not": {"enum": ["Parameter"]}}), ("ParameterEntry", {"enum": ["Parameter"]})):
        schemas[name]["properties"] |= {"type": kind, "layers": {"not": {}}}
    rules = {"type": "array", "items": {"$ref": "#/components/schemas/Rule"}}
    schemas["Rules"] = {"anyOf": [rules, {"type": "array", "items": rules}]}
    methods = [name for method in catalogue["methods"] for name in spellings(method)]
    names = {"type": "array", "minItems": 1, "items": {"type": "string"}}
    schemas["Step"]["properties"]["tensor"] = {"oneOf": [{"type": "string"}, names]}
    gains = {"type": "object", "required": ["gains"], "properties": {"gains": schemas["GainReply"]["properties"]["gains"]}}
    schemas["GainReply"] = {"oneOf": [{"$ref": "#/components/schemas/Gain"}, gains]}
    schemas["PlanReply"] = {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Plan", "ModelPlan")]}
    kinds = ("Tensor", "Summary", "Tensors", "Summaries")
    schemas["TensorReply"] = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in kinds]}
    schemas["PropagatedMethod"] = {"enum": methods}
    activations = [activation["name"] for activation in catalogue["activations"]]
    schemas["PropagatedNonlinearity"] = {"enum": activations}
    refine_named(contract.root, "method", methods, {"skip", "steps"})
    refine_named(contract.root, "nonlinearity", activations)
    parameters = contract.root["components"]["parameters"]
    parameters["gain"]["schema"] = {"anyOf": [{"$ref": "#/components/schemas/Real"}, {"enum": activations}]}
    propagation = contract.root["paths"]["/propagate"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    propagation["additionalProperties"] = False
    schemas["FanMode"]["pattern"] = "^[Ff][Aa][Nn]_([Ii][Nn]|[Oo][Uu][Tt])$"


def choices(parameters):
    """Required and forbidden sets of parameters: one spelling of each required one, and a gain or what it replaces."""
    names = {parameter["name"] for parameter in parameters}
    required = [spellings(parameter) for parameter in parameters if parameter["required"]]
    for chosen in itertools.product(*required):
        others = {name for each in required for name in each} - set(chosen)
        if {"gain", "nonlinearity"} <= names:
            yield [*chosen, "gain"], others | {"a", "nonlinearity"}
            yield chosen, others | {"gain"}
        else:
            yield chosen, others


def refine_named(node, name, values, others=frozenset()):
    """Gives all members and parameters with this name that are plain text a schema that lists their values.

    `others` are further values, for members whose description mentions them.
    """
    for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if isinstance(child, dict) and child.get("type") == "string":
            if key == name:
                described = set(re.findall(r"`(\w+)`", child.get("description", "")))
                node[key] = {"enum": [*values, *sorted(others & described)]}
            elif key == "schema" and node.get("name") == name:
                node[key] = {"enum": values}
        refine_named(child, name, values, others)


def check_with_schemathesis(contract, catalogue, service):
    refine(contract, catalogue)
    with tempfile.TemporaryDirectory() as directory:
        refined = pathlib.Path(directory) / "openapi.json"
        refined.write_text(json.dumps(contract.root))
        outcome = subprocess.run(
            [
                pathlib.Path(sys.executable).parent / "schemathesis",
                "--config-file", HERE / "contract" / "schemathesis.toml",
                "run", refined, "--url", service.url, "--no-color", "--seed", "1",
            ],  # fmt: skip
            cwd=directory, env={**os.environ, "PYTHONPATH": str(HERE / "contract"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, timeout=1800,
        )  # fmt: skip
    print("check_contract:", *re.findall(r"^ +(\d+ generated.*)$", outcome.stdout, re.MULTILINE)[-1:])
    expect(outcome.returncode == 0, f"schemathesis:\n{outcome.stdout}{outcome.stderr}")


def main():
    text = (ROOT / "openapi.yaml").read_text()
    contract = Contract(text)
    with Service(sys.argv[1], *LIMITS) as service:
        catalogue = ask(service, "GET", "/methods").json()
        named = {
            "files": lambda: check_files(text),
            "routes": lambda: check_routes(contract, service),
            "parameters": lambda: check_parameters(contract, service, catalogue),
            "tables": lambda: check_tables(contract, catalogue),
            "forms": lambda: check_forms(contract, sys.argv[1]),
            "statuses": lambda: check_statuses(contract, service),
            "problems": lambda: check_problems(contract, service),
            "schemathesis": lambda: check_with_schemathesis(contract, catalogue, service),
        }
        passed = checks.passed("check_contract", named)
    raise SystemExit(0 if passed and service.process.returncode == 0 else 1)


if __name__ == "__main__":
    main()
