"""Checks README.md: the package's calls have its arguments, and its first program does what the text says."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_in import StandIn

import weight_init
from weight_init import AsyncClient, Client
from weight_init.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()
CALLS = re.findall(r"^\| `((?:client\.)?(\w+)\((.*?)\))` \|", README, re.MULTILINE)
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def kinds(signature: inspect.Signature) -> dict[str, tuple[inspect._ParameterKind, object]]:
    return {name: (parameter.kind, parameter.default) for name, parameter in signature.parameters.items() if name != "self"}


@pytest.mark.parametrize(("call", "name", "arguments"), CALLS, ids=[call for call, _, _ in CALLS])
def test_a_call_has_the_arguments_that_the_tables_show(call: str, name: str, arguments: str) -> None:
    function = getattr(Client if call.startswith("client.") else weight_init, name)
    shown: dict[str, object] = {}
    exec(f"def shown({arguments}): ...", shown)
    assert callable(shown["shown"])
    wanted = kinds(inspect.signature(function))
    for argument, kind in kinds(inspect.signature(shown["shown"])).items():
        assert wanted.pop(argument) == kind, argument
    # Arguments that the table leaves out.
    assert all(default is not inspect.Parameter.empty for _, default in wanted.values()), wanted


def test_the_table_has_all_methods() -> None:
    methods = {name for name, member in vars(Client).items() if not name.startswith("_") and inspect.isfunction(member)}
    assert methods == {name for call, name, _ in CALLS if call.startswith("client.")}
    assert methods <= vars(AsyncClient).keys()


def test_the_first_program_and_the_first_module(service: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, program, *_ = BLOCKS
    (tmp_path / "model.py").write_text(model)
    expected = "torch.manual_seed(42)\nassert all(torch.equal(model.state_dict()[n], t) for n, t in Net().state_dict().items())\n"
    assert "http://127.0.0.1:8080" in program
    (tmp_path / "program.py").write_text(program.replace("http://127.0.0.1:8080", service.url) + expected)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    outcome = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, env=environment, text=True, capture_output=True)
    assert outcome.returncode == 0, outcome.stderr
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ python -m weight_init (trace '?model\.py:.*)$", README, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command)) == 0
        request = json.loads((tmp_path / "net.json").read_text())
        assert [tensor["name"] for tensor in request["tensors"]] == ["hidden.weight", "hidden.bias", "head.weight", "head.bias"]


def test_bits_of_bfloat16_have_the_values_that_are_named(service: StandIn) -> None:
    client = Client(service.url)
    array = client.tensor("normal", [40], dtype="bfloat16")
    tensor = client.tensor("normal", [40], dtype="bfloat16", library="torch")
    assert array.dtype == np.uint16
    ways = re.findall(r"`([^`\n]*array[^`\n]*view[^`\n]*)`", README)
    assert len(ways) == 2
    for way in ways:
        ast.parse(way, mode="eval")
        assert torch.equal(torch.as_tensor(eval(way, {"array": array, "torch": torch})).float(), tensor.float())


def test_the_readme_and_the_client_say_what_a_gain_may_be() -> None:
    for text in (README, inspect.getdoc(Client.tensor) or ""):
        assert '"leaky_relu:0.2"' in text and '{"nonlinearity": "leaky_relu", "param": 0.2}' in text


def test_the_readme_names_what_is_not_bit_for_bit() -> None:
    introduction = README.partition("## Into a module")[0]
    assert "`orthogonal`" in introduction and "`erfinv`" in introduction and "docs/bits.md" in introduction


def test_arrays_are_in_the_order_of_the_file(service: StandIn) -> None:
    entries = [{"name": n, "shape": [2], "method": "ones", "dtype": d} for n, d in (("a", "float16"), ("b", "float32"), ("c", "float64"))]
    request = {"tensors": entries, "tie": {"aa": "c"}}
    assert list(Client(service.url).arrays(request, 1)) == ["c", "b", "a", "aa"]
    assert list(Client(service.url).state_dict(request, 1)) == ["a", "b", "c", "aa"]
