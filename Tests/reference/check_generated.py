"""Makes clients from openapi.yaml with the generators and options of examples/README.md, and uses each with a running
weight-init.

The generators have to print the warnings that the README lists, and no others. The clients for Go, Java and TypeScript have to
compile. With these, and with Python's, `generated/client.*` fetches a tensor as raw bytes and as npy, a gain, a tensor
in JSON, and a layer, whose arguments are members that the contract does not name. The service needs a token, which the
client sends. Then each client reads every request for a model in the repository and writes it back: the JSON has to be the same, and the plans of two requests have to have
the entity tag and the digest that a plain request gets. The bytes and numbers have to be PyTorch's: the seed is
2^63 − 1, and the elements are float64, so that 32 bits of either are not enough.

    python check_generated.py .build/release/weight-init [GENERATOR ...]
"""

import hashlib
import importlib.util
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import model_requests
import numpy
import torch

from service import ROOT, Service

CLIENTS = pathlib.Path(__file__).resolve().parent / "generated"
TOOLS = pathlib.Path(sys.executable).parent
# The generator. It contains the JSON library that its Java clients need.
JAR = pathlib.Path(importlib.util.find_spec("openapi_generator_cli").origin).parent / "openapi-generator.jar"
# File of the Debian package that generated clients for Java need: javax.annotation.Generated.
ANNOTATIONS = "/usr/share/java/geronimo-annotation-1.3-spec.jar"
SEED = 2**63 - 1
SECONDS = 900


def run(*command, **options):
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, **options)
    if outcome.returncode != 0:
        raise AssertionError(f"{command[0]} ends with {outcome.returncode}:\n{outcome.stdout[-4000:]}{outcome.stderr[-4000:]}")
    return outcome.stdout


def readme():
    """The options and the warnings of each generator in examples/README.md."""
    text = (ROOT / "examples" / "README.md").read_text()
    options = dict(re.findall(r"^\| `-g ([a-z-]+) (--.+?)` \|", text, re.MULTILINE))
    block = re.search(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL).group(1)
    return options, dict(line.split(": ", 1)[::-1] for line in block.splitlines())


def generate(generator, options, output):
    """Makes a client; returns the warnings, each once."""
    printed = run(
        "java", "-XX:TieredStopAtLevel=1", "-jar", JAR, "generate", "--input-spec", ROOT / "openapi.yaml",
        "--generator-name", generator, "--output", output, *shlex.split(options),
    )  # fmt: skip
    return set(re.findall(r"WARN +\S+ - (.*)", printed))


def check_warnings(printed, listed):
    """Compares all warnings, each with the generators that print it, with the README's."""
    found = {}
    for generator, warnings in printed.items():
        for warning in warnings:
            found.setdefault(warning, []).append(generator)
    found = {warning: "all" if len(names) == len(printed) else ", ".join(names) for warning, names in found.items()}
    lines = {f"{names}: {warning}" for warning, names in found.items()}
    listed = {f"{names}: {warning}" for warning, names in listed.items()}
    assert lines == listed, "\n".join(
        ["examples/README.md lists other warnings"]
        + [f"- {line}" for line in sorted(listed - lines)] + [f"+ {line}" for line in sorted(lines - listed)]
    )  # fmt: skip


def go(client):
    """Compiles the Go client without modules, because they would be downloaded."""
    path = client.parent / "gopath"
    shutil.copytree(client, path / "src" / "weightinit", ignore=shutil.ignore_patterns("test", "docs"))
    (path / "src" / "client").mkdir()
    shutil.copy(CLIENTS / "client.go", path / "src" / "client")
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": path}
    run("go", "build", "-o", path / "run", "client", env=environment)
    return [path / "run"]


def java(client):
    classes = client.parent / "classes"
    classpath = f"{JAR}:{ANNOTATIONS}:{classes}"
    sources = [*(client / "src" / "main" / "java").rglob("*.java"), CLIENTS / "Client.java"]
    run("javac", "-proc:none", "-nowarn", "-cp", classpath, "-d", classes, *sources)
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "Client"]


def typescript(client):
    shutil.copy(CLIENTS / "client.ts", client / "src")
    run("tsc", "--project", client)
    return ["node", client / "dist" / "client.js"]


def python(client):
    run(
        TOOLS / "openapi-python-client", "generate", "--fail-on-warning", "--meta", "none",
        "--config", ROOT / "examples" / "openapi-python-client.yaml",
        "--path", ROOT / "openapi.yaml", "--output-path", client / "weight_init_client",
    )  # fmt: skip
    shutil.copy(CLIENTS / "client.py", client)
    return [sys.executable, client / "client.py"]


# The Rust client is not compiled, because its crates are not installed.
BUILDERS = {"go": go, "java": java, "typescript-fetch": typescript}
# JavaScript's numbers have 53 bits, too few for `seed`.
UNPRINTED = {"typescript-fetch": {"seed"}}


def expected():
    """The expected output of each client, from PyTorch and NumPy."""
    torch.manual_seed(SEED)
    raw = torch.nn.init.uniform_(torch.empty(1000, dtype=torch.float64), b=0.1).numpy()
    torch.manual_seed(42)
    gain = torch.nn.init.calculate_gain("leaky_relu", 0.2)
    npy = io.BytesIO()
    numpy.save(npy, torch.nn.init.xavier_uniform_(torch.empty(64, 32), gain=gain).numpy())
    torch.manual_seed(SEED)
    elements = torch.nn.init.uniform_(torch.empty(2, dtype=torch.float64), b=0.1).tolist()
    torch.manual_seed(0)
    bias = torch.nn.Linear(3, 2, dtype=torch.float64).bias.tolist()
    return [
        ("raw", hashlib.sha256(raw.astype("<f8").tobytes()).hexdigest()),
        ("npy", hashlib.sha256(npy.getvalue()).hexdigest()),
        ("gain", gain),
        ("seed", SEED),
        ("effective_seed", SEED % 2**32),
        *(("element", element) for element in elements),
        *(("bias", element) for element in bias),
    ]


def check_requests(folder, requests):
    """What a client wrote back is what it read. 1 and 1.0 are the same number."""
    for name, request in requests.items():
        back = json.loads((folder / f"{name}.json.back").read_text())
        # A client may write the digits of a seed as a number.
        if "seed" in back and int(back["seed"]) == int(request["seed"]):
            back["seed"] = request["seed"]
        assert back == request, f"{name} comes back as {json.dumps(back)[:2000]}"


def plans(requests, service):
    """Names, entity tags and digests of the requests for plans, as a plain request gets them."""
    for name, request in sorted(requests.items()):
        if name.startswith("plan-"):
            body, fields = json.dumps(request).encode(), {"Content-Type": "application/json", **service.fields}
            with urllib.request.urlopen(urllib.request.Request(service.url + "/explain", body, fields), timeout=SECONDS) as reply:
                yield f"{name}.json {reply.headers['ETag']} {json.load(reply)['sha256']}"


def check_client(name, command, service, requests):
    wanted = [(key, value) for key, value in expected() if key not in UNPRINTED.get(name, ())]
    wanted += [("plan", line) for line in plans(requests, service)]
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        for request, document in requests.items():
            (folder / f"{request}.json").write_text(json.dumps(document))
        environment = {**os.environ, "WEIGHT_INIT_TOKEN": service.token}
        lines = [line.split(maxsplit=1) for line in run(*command, service.url, folder, env=environment).splitlines()]
        check_requests(folder, requests)
    # Languages write the same float64 differently.
    printed = [(key, float(text) if key in ("gain", "element", "bias") else text) for key, text in lines]
    wanted = [(key, value if isinstance(value, float) else str(value)) for key, value in wanted]
    assert printed == wanted, f"{name}: printed {printed}, should print {wanted}"


def main():
    options, warnings = readme()
    failures, printed, checks = [], {}, 0
    with Service(sys.argv[1], token="a-token") as service, tempfile.TemporaryDirectory() as name:

        requests = model_requests.named(service) | model_requests.planned()

        def check(what, action):
            nonlocal checks
            checks += 1
            try:
                action()
            except Exception as error:  # Any error in one client is its failure; the other clients still run.
                failures.append(what)
                print(f"{what}: {type(error).__name__}: {error}", file=sys.stderr)

        def check_generator(generator):
            client = pathlib.Path(name) / generator / "client"
            printed[generator] = generate(generator, options[generator], client)
            if generator in BUILDERS:
                check_client(generator, BUILDERS[generator](client), service, requests)

        def check_python():
            client = pathlib.Path(name) / "python"
            client.mkdir()
            check_client("python", python(client), service, requests)

        chosen = sys.argv[2:] or [*options, "openapi-python-client"]
        for generator in chosen:
            own = check_python if generator == "openapi-python-client" else lambda generator=generator: check_generator(generator)
            check(generator, own)
        if len(printed) == len(options):
            check("warnings", lambda: check_warnings(printed, warnings))
    print(f"check_generated: {checks - len(failures)} of {checks} passed")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
