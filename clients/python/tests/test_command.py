"""The command line and how constructors are named on it."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from torch import nn

import weight_init
from weight_init import cli
from weight_init.cli import main
from weight_init.exactness import inexact, notice
from weight_init.loading import SpecificationError, constructor


@pytest.fixture()
def model(tmp_path: Path) -> Path:
    file = tmp_path / "a_model.py"
    file.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, width=2, sizes=(), options=None):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(width, 1)\n"
        "        self.sizes, self.options = sizes, options\n"
        "def build():\n"
        "    return Net(3)\n"
        "limit = 3\n"
    )
    return file


def test_the_command_writes_a_request(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "request.json"
    assert main(["trace", str(model), "--seed", "42", "-o", str(output)]) == 0
    request = json.loads(output.read_text())
    assert list(request) == ["description", "seed", "tensors"] and request["seed"] == 42
    assert [entry["name"] for entry in request["tensors"]] == ["layer.weight", "layer.bias"]
    assert request["description"].startswith(f"{model}: torch ")
    written = capsys.readouterr()
    assert written.out == ""
    assert "comparing with the constructor" in written.err and "2 tensors, 0 steps" in written.err
    assert list(tmp_path.glob("request.json.*")) == []


def test_without_an_output_the_request_goes_to_standard_output(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "-q", "--description", "mine", f"{model}:Net(width=5)"]) == 0
    written = capsys.readouterr()
    assert json.loads(written.out)["tensors"][0]["shape"] == [1, 5]
    assert json.loads(written.out)["description"] == "mine"
    assert written.err == ""


def test_a_model_that_cannot_be_exported_is_one_line_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "strange.py"
    file.write_text("import torch\nfrom torch import nn\ndef build():\n    layer = nn.Linear(2, 2)\n"
                    "    layer.bias = nn.Parameter(torch.rand(2).exp())\n    return layer\n")
    output = tmp_path / "request.json"
    assert main(["trace", "-q", str(file), "-o", str(output)]) == 1
    assert capsys.readouterr().err.startswith("weight_init: bias: aten.exp: ")
    assert not output.exists()


class _Clock:
    """Stands at the sum of the seconds that have passed."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def _phases(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> tuple[Callable[[str, float], None], cli._Phases]:
    clock = _Clock()
    monkeypatch.setattr(cli, "time", clock)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    phases = cli._Phases(quiet=False)

    def take(phase: str, seconds: float) -> None:
        phases(phase)
        clock.now += seconds

    return take, phases


def test_each_phase_has_the_time_that_it_took(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    take, phases = _phases(monkeypatch, terminal=False)
    take("importing torch", 7.9)
    assert capsys.readouterr().err == ""
    take("recording", 4)
    assert capsys.readouterr().err == "   7.9 s  importing torch\n"
    take("recording: 1000 operations", 6)
    take("writing the request", 0.5)
    phases.finish()
    assert capsys.readouterr().err == "  10.0 s  recording\n   0.5 s  writing the request\n"
    take("comparing", 1)
    phases.end()
    phases.finish()
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_the_running_phase(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    take, phases = _phases(monkeypatch, terminal=True)
    take("recording", 2)
    take("recording: 1000 operations", 3)
    assert capsys.readouterr().err == "\r\x1b[K     ...  recording\r\x1b[K     ...  recording: 1000 operations"
    phases.finish()
    assert capsys.readouterr().err == "\r\x1b[K   5.0 s  recording\n"
    take("comparing", 1)
    phases.end()
    assert capsys.readouterr().err == "\r\x1b[K     ...  comparing\r\x1b[K"


def test_the_command_ends_every_phase(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(model)]) == 0
    lines = [re.fullmatch(r" *\d+\.\d s  (.*)", line) for line in capsys.readouterr().err.splitlines()]
    assert [line[1] if line else None for line in lines] == [
        "importing torch", f"importing {model}", "recording", "writing the request", "checking names, shapes and steps",
        "comparing with the constructor under another seed",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def build():\n    net = nn.Linear(8, 4)\n    nn.init.orthogonal_(net.weight)\n    return net\n",
         "not bit for bit: weight (orthogonal: within a tolerance of PyTorch's); see docs/bits.md"),
        ("def build():\n    net = nn.Linear(8, 4)\n    nn.init.orthogonal_(net.weight)\n    with torch.no_grad():\n"
         "        net.bias.uniform_(-0.9, 0.9).erfinv_().mul_(0.02)\n    return net\n",
         "not bit for bit: weight (orthogonal: within a tolerance of PyTorch's); "
         "bias (erfinv: within a unit in the last place, or two if scaled); see docs/bits.md"),
        ("def build():\n    net = nn.GRU(4, 4, num_layers=4, bias=False)\n    for name, weight in net.named_parameters():\n"
         "        nn.init.orthogonal_(weight)\n    return net\n",
         "not bit for bit: weight_ih_l0, weight_hh_l0, weight_ih_l1 and 5 more (orthogonal: within a tolerance of PyTorch's); "
         "see docs/bits.md"),
    ],
    ids=["orthogonal", "both", "many"],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tensors_that_are_not_bit_for_bit_are_named(
    text: str, line: str, device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "inexact.py"
    file.write_text("import torch\nfrom torch import nn\n" + text)
    assert main(["trace", "--device", device, str(file)]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == line
    assert main(["trace", "-q", "--device", device, str(file)]) == 0
    assert capsys.readouterr().err == ""


def test_inexact_elements_are_followed_through_steps() -> None:
    request = {
        "tensors": [{"name": name, "shape": [4, 4]} for name in "abcdef"] + [{"name": "g", "shape": [4, 4], "method": "orthogonal"}],
        "steps": [
            {"tensor": ["a", "b"], "method": "uniform", "then": [{"method": "erfinv"}, {"method": "add", "value": 1}]},
            {"tensor": "c", "method": "copy", "from": "a", "from_slice": "0:2"},
            {"tensor": "d", "method": "zeros"},
            {"tensor": "d", "slice": "1", "method": "orthogonal"},
            {"tensor": "e", "method": "norm", "from": "g"},
            {"tensor": "f", "method": "normal"},
            {"method": "orthogonal", "shape": [3, 3]},
            {"tensor": "b", "method": "uniform"},
        ],
    }
    assert inexact(request) == {"a": "erfinv", "c": "erfinv", "d": "orthogonal", "e": "orthogonal", "g": "orthogonal"}
    assert notice({"tensors": [{"name": "a", "shape": [2], "method": "normal"}]}) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("class Net(nn.Module):\n    pass\n", "no_build.py has no build(): write no_build.py:Net"),
        ("class Block(nn.Module):\n    pass\nclass Net(nn.Module):\n    def __init__(self, width, depth=2, **others):\n        pass\n",
         "no_build.py has no build(): write 'no_build.py:Net(width=...)' or no_build.py:Block"),
        ("def build_net():\n    return Linear(1, 1)\n", "no_build.py has no build(): write no_build.py:build_net"),
        ("class _Net(nn.Module):\n    pass\nclass Text(str):\n    pass\n",
         "no_build.py has no build(), and no class of nn.Module: define build(), or write no_build.py:NAME"),
    ],
)
def test_a_file_without_build_names_its_modules(
    text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "no_build", raising=False)
    Path("no_build.py").write_text("from torch import nn\nfrom torch.nn import Linear\n" + text)
    with pytest.raises(SystemExit):
        main(["trace", "-q", "no_build.py"])
    assert capsys.readouterr().err.splitlines()[-1] == f"python -m weight_init: error: {sentence}"


@pytest.mark.parametrize(
    "arguments",
    [["trace"], ["trace", "no.such.package:x"], ["trace", "torch.nn"], ["trace", "torch.nn:NoSuchLayer(1)"], ["trace", "missing.py"],
     ["trace", "torch.nn:Linear(1, 1)", "-o", "/no/such/directory/x.json"], ["trace", "torch.nn:Linear(1, 1)", "--device", "cuda"], []],
)
def test_wrong_arguments_are_exit_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trace", "torch.nn:Linear"], "torch.nn:Linear: Linear.__init__() missing 2 required positional arguments: 'in_features' and "),
        (["trace", "torch.nn:Linear(1, 2, foo=3)"], "Linear.__init__() got an unexpected keyword argument 'foo'"),
        (["trace", "torch.nn:Linear({[1]}, 2)"], "unhashable type: 'list'"),
        (["trace", "torch.nn:Linaer(1, 2)"], "torch.nn has no 'Linaer'; did you mean Linear?"),
        (["trace", "torch:nn.Linaer(1, 2)"], "nn has no 'Linaer'; did you mean Linear?"),
        (["trace", ":Net"], "':Net' is neither a file that ends in .py nor of the form package.module:name"),
        (["trace", ".models:Net"], "'.models:Net' is neither a file that ends in .py nor of the form package.module:name"),
        (["trace", "broken.py"], "broken.py, line 1: "),
        (["trace", "torch.nn:Linear(1, 1)", "-o", "."], "cannot write '.': it is a directory"),
        (["verify", "http://127.0.0.1:1", "--token-file", "none"], "cannot read the token file 'none': No such file or directory"),
        (["verify", "http://127.0.0.1:1", "--token-file", "image"], "cannot read the token file 'image': "),
    ],
)
def test_wrong_arguments_are_a_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text("def build(:\n")
    Path("image").write_bytes(b"\x89PNG\xff")
    with pytest.raises(SystemExit) as raised:
        main([*arguments, "-q"] if arguments[0] == "trace" else arguments)
    assert raised.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("python -m weight_init: error: ") and sentence in last


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import no_such_module\n", "importing raising.py raises ModuleNotFoundError: No module named 'no_such_module' ("),
        ("def build():\n    raise KeyError('width')\n", "raising.py raises KeyError: 'width' ("),
        ("def build():\n    return 1 + None\n", "raising.py raises TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'"),
        ("def build():\n    raise ValueError('one\\ntwo')\n", "raising.py raises ValueError: one ("),
        ("from torch import nn\ndef build():\n    return nn.Linear(-1, 2)\n", "raises RuntimeError: Trying to create tensor with negative dimension -1"),
    ],
)
def test_what_a_constructor_raises_is_a_sentence(
    text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "raising", raising=False)
    Path("raising.py").write_text(text)
    assert main(["trace", "-q", "raising.py"]) == 1
    written = capsys.readouterr().err
    assert written.startswith("weight_init: ") and sentence in written and written.count("\n") == 1
    assert written.endswith(f"{tmp_path}/raising.py, line {len(text.splitlines())})\n")


def test_a_file_that_cannot_be_written_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "-q", "torch.nn:Linear(1, 1)", "-o", "/proc/x.json"]) == 1
    assert capsys.readouterr().err == "weight_init: cannot write /proc/x.json: No such file or directory\n"


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["trace", "--help"])
    assert "python -m weight_init trace torchvision.models:resnet50 --seed 42 -o resnet50.json" in capsys.readouterr().out


def test_constructors_take_literals_names_and_calls(model: Path) -> None:
    net = constructor(f"{model}:Net(4, sizes=[1, -2.5, (True, None)], options={{'a': Net(width=7)}})")()
    assert net.layer.in_features == 4 and net.sizes == [1, -2.5, (True, None)]
    assert net.options["a"].layer.in_features == 7
    assert constructor("torch.nn:Linear(2, 3, dtype=torch.float64)")().weight.dtype.itemsize == 8
    assert isinstance(constructor("torch:nn.Linear(2, 3)")(), nn.Linear)


@pytest.mark.parametrize(
    "expression",
    ["Linear(__import__('os'))", "Linear.__init__", "Linear(1 if True else 2, 1)", "Linear(*[1, 2])", "Linear(**{})", "(lambda: 1)()",
     "Linear(1)(", "[x for x in ()]", "Linear(eval('1'), 1)", "Linear[0]", "Linear(f'{1}')", "_reduction"],
)
def test_everything_else_is_refused_and_never_run(expression: str) -> None:
    with pytest.raises(SpecificationError):
        constructor(f"torch.nn:{expression}")()


def test_the_package_is_imported_without_torch() -> None:
    import subprocess

    code = "import sys, weight_init; weight_init.dumps({}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(__file__).parents[1] / "src")})


def _documented() -> Iterator[tuple[str, Any]]:
    """Public names, and public methods of public classes."""
    for name in weight_init.__all__:
        value = getattr(weight_init, name)
        yield name, value
        if inspect.isclass(value) and not issubclass(value, Exception):
            for member, inner in vars(value).items():
                if not member.startswith("_") and (callable(inner) or isinstance(inner, property)):
                    yield f"{name}.{member}", inner


@pytest.mark.parametrize(("name", "value"), [pytest.param(*pair, id=pair[0]) for pair in _documented()])
def test_every_public_name_says_what_it_is_and_raises(name: str, value: Any) -> None:
    text = inspect.getdoc(value)
    assert text and text != inspect.getdoc(object), name
    hints = inspect.signature(value).parameters.values() if inspect.isroutine(value) else ()
    assert all(hint.annotation is not inspect.Parameter.empty for hint in hints if hint.name != "self")
    # `dumps` raises what `json` does; the others have exceptions of the package.
    if inspect.isroutine(value) and name != "dumps":
        raised = re.findall(r"\b[A-Z]\w*Error\b", text.partition("Raises:")[2])
        assert raised and all(hasattr(weight_init, error) for error in raised)


def test_the_version_is_the_services() -> None:
    release = Path(__file__).parents[3] / "Sources/InitAPI/Release.swift"
    assert f'version = "{weight_init.__version__}"' in release.read_text()
