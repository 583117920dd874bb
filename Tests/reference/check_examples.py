"""Runs the programs of examples/, with the commands of its README, against a running weight-init. Each has to print
PyTorch's results, which examples.json has; once more with a token, from a service that needs it. Programs for models
take another model, too, and say which of its tensors they leave out, and that a reply in JSON is not what they need. A client generated from openapi.yaml has to get the
same numbers.

A program whose language is not installed is skipped with a message.

    python check_examples.py .build/release/weight-init
"""

import hashlib
import importlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy
import safetensors.numpy

import checks
from service import ROOT, Service

EXAMPLES = ROOT / "examples"
# Directory of the Python whose packages the programs use.
TOOLS = pathlib.Path(sys.executable).parent


def listed():
    """The programs and their commands in examples/README.md."""
    return dict(re.findall(r"^\| \[(\S+)\]\(\1\) \| .* \| `(.+)` \|$", (EXAMPLES / "README.md").read_text(), re.MULTILINE))


def check_listed(programs):
    present = {path.name for path in EXAMPLES.iterdir() if path.is_file() and path.suffix not in (".md", ".yaml")}
    assert present == programs.keys(), f"in examples/ or in its README, but not in both: {sorted(present ^ programs.keys())}"


def run(command, service, folder):
    outcome = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "WEIGHT_INIT_URL": service.url}
        | ({"WEIGHT_INIT_TOKEN": service.token} if service.token else {}),
        capture_output=True,
        text=True,
        timeout=900,
    )
    return outcome


def check_program(command, expected, service, folder):
    outcome = run(command, service, folder)
    if outcome.returncode != 0 or outcome.stdout.splitlines() != expected:
        wanted = "".join(f"\n    {line}" for line in expected)
        raise AssertionError(f"status {outcome.returncode}, should print{wanted}\n{outcome.stdout}{outcome.stderr}")


def check_others(command, service, folder):
    """A model with tensors of other types than float32: the program says how many it leaves out, in one line."""
    path = "models/resnet18.json"
    file = service.post("/init", json.loads((EXAMPLES / path).read_text()))
    tensors = safetensors.numpy.load(file)
    # In the order of the file, which is the order of its header.
    length = int.from_bytes(file[:8], "little")
    names = [name for name in json.loads(file[8 : 8 + length]) if name in tensors]
    taken = [name for name in names if tensors[name].dtype == numpy.float32]
    first = " ".join(f"{value:.6f}" for value in tensors[taken[0]].flatten()[:4])
    expected = [" ".join(taken), first, hashlib.sha256(file[8 + length :]).hexdigest()]
    check_program(f"{command} {path}", expected, service, folder)
    said = run(f"{command} {path}", service, folder).stderr.splitlines()
    wanted = f"left out, because they are not float32: {len(names) - len(taken)} tensors"
    assert len(said) == 1 and wanted in said[0], said


def check_format(command, service, folder):
    """A request without a format is answered in JSON: the program says which format it needs."""
    path = "models/no_format.json"
    request = json.loads((EXAMPLES / "models" / "mlp.json").read_text())
    del request["format"]
    (folder / path).write_text(json.dumps(request))
    outcome = run(f"{command} {path}", service, folder)
    assert outcome.returncode != 0 and not outcome.stdout, outcome.stdout
    assert "the reply is no safetensors file: ask for format=safetensors" in outcome.stderr, outcome.stderr


def check_client(expected, service, scratch):
    """Generates a client, gets a tensor's bytes by GET, its numbers and a model by POST, and a refusal."""
    # A warning means that programs cannot use a part of openapi.yaml.
    configuration = EXAMPLES / "openapi-python-client.yaml"
    generator = [TOOLS / "openapi-python-client", "generate", "--fail-on-warning", "--config", configuration]
    contract = ROOT / "openapi.yaml"
    outcome = subprocess.run(
        [*generator, "--path", contract, "--output-path", scratch / "client"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    sys.path.insert(0, str(scratch / "client"))
    models = importlib.import_module("weight_init_client.models")
    tensors = importlib.import_module("weight_init_client.api.tensors")
    get, post = (importlib.import_module(f"{tensors.__name__}.{name}") for name in ("get_tensor", "post_tensor"))
    client = importlib.import_module("weight_init_client").Client(base_url=service.url)

    def digest(*nested):
        return hashlib.sha256(b"".join(numpy.array(data, dtype=numpy.float32).tobytes() for data in nested)).hexdigest()

    relu = models.TorchNonlinearity.RELU
    file = get.sync(
        client=client,
        method="kaiming_normal",
        shape="64,3,7,7",
        seed=42,
        mode=models.GetTensorMode.FAN_OUT,
        nonlinearity=relu,
        format_=models.Format.RAW,
    )
    assert hashlib.sha256(file.payload.read()).hexdigest() == expected["tensor"][-1], "the client's bytes are not PyTorch's"

    request = models.InitRequest(
        method="kaiming_normal", shape=[64, 3, 7, 7], seed=42, mode="fan_out", nonlinearity=relu
    )
    tensor = post.sync(client=client, body=request)
    assert isinstance(tensor, models.TensorReply), tensor
    assert f"{tensor.shape} {tensor.dtype}" == expected["tensor"][0], (tensor.shape, tensor.dtype)
    assert digest(tensor.data) == expected["tensor"][-1], "the client's tensor is not PyTorch's"

    request = json.loads((EXAMPLES / "models" / "mlp.json").read_text()) | {"format": "json"}
    model = post.sync(client=client, body=models.InitRequest.from_dict(request))
    assert isinstance(model, models.TensorReply), model
    assert " ".join(tensor.name for tensor in model.tensors) == expected["load_state_dict"][0]
    assert digest(*(tensor.data for tensor in model.tensors)) == expected["load_state_dict"][-1]

    problem = get.sync(client=client, method="normal", shape="2,3", sparsity=0.5)
    assert isinstance(problem, models.Problem) and problem.status == 400, problem


def main():
    expected = json.loads((ROOT / "Tests" / "reference" / "examples.json").read_text())
    skipped = 0
    with Service(sys.argv[1]) as service, Service(sys.argv[1], token="a-token") as guarded, tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        folder = shutil.copytree(EXAMPLES, scratch / "examples")
        programs = listed()
        named = {
            "examples/README.md": lambda: check_listed(programs),
            "the generated client": lambda: check_client(expected, service, scratch),
        }
        for program, command in programs.items():
            tool = command.split()[0]
            if shutil.which(tool) is None:
                print(f"check_examples: no {tool} here, {program} is not run")
                skipped += 1
                continue
            wanted = expected[pathlib.Path(program).stem.lower()]
            named[program] = lambda command=command, wanted=wanted: check_program(command, wanted, service, folder)
            named[f"{program} with a token"] = lambda command=command, wanted=wanted: check_program(command, wanted, guarded, folder)
            if program.lower().startswith("model."):
                named[f"{program} with another model"] = lambda command=command: check_others(command, service, folder)
                named[f"{program} without a format"] = lambda command=command: check_format(command, service, folder)
        passed = checks.passed("check_examples", named, besides=f", {skipped} left out")
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
