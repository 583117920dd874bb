"""The command line: ``python -m weight_init trace torchvision.models:resnet50 -o resnet50.json``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Sequence

from . import __version__
from .errors import WeightInitError
from .request import dumps

_EXAMPLES = """\
examples:
  python -m weight_init trace torchvision.models:resnet50 --seed 42 -o resnet50.json
  python -m weight_init trace 'timm:create_model("vit_tiny_patch16_224", num_classes=10)' -o vit.json
  python -m weight_init trace 'transformers:GPT2LMHeadModel(GPT2Config(n_layer=2))' -o gpt2.json
  python -m weight_init trace --device meta 'transformers:LlamaForCausalLM(LlamaConfig())' -o llama.json
  python -m weight_init trace model.py -o model.json          # model.py defines build()
  python -m weight_init trace 'model.py:Net(width=64)' -o net.json

then, from a service or without one:
  curl -o resnet50.safetensors http://127.0.0.1:8080/init -H 'Accept: application/x-safetensors' \\
       -H 'Content-Type: application/json' --data-binary @resnet50.json
  weight-init init --model resnet50.json --seed 42 -o resnet50.safetensors
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m weight_init",
        description="Writes requests for a weight-init service from PyTorch constructors, and compares a service with the PyTorch that is "
        "installed here.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"weight-init {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    trace = commands.add_parser(
        "trace",
        help="write a request for the tensors that a constructor makes",
        description="Builds a model under a recorder, writes the request that makes its parameters and buffers for any seed, and "
        "compares the request with the constructor under another seed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    trace.add_argument(
        "constructor",
        metavar="CONSTRUCTOR",
        help="package.module:name, package.module:Class(arg=1), or a file.py that defines build(); imported, so it runs its code",
    )
    trace.add_argument("-o", "--output", metavar="FILE", help="file to write; standard output by default")
    trace.add_argument(
        "--device",
        choices=("cpu", "meta"),
        default="cpu",
        help="meta records without memory, for models of any size; those over 1 GiB are not built for comparison (default: cpu)",
    )
    trace.add_argument("--seed", type=int, metavar="N", help="seed of the request; without one its users add theirs, or get 0")
    trace.add_argument("--description", metavar="TEXT", help="text about the request; library versions by default")
    trace.add_argument("-q", "--quiet", action="store_true", help="no lines about progress and the result")
    verify = commands.add_parser(
        "verify",
        help="compare a service with the installed PyTorch",
        description="Fetches tensors of every method and dtype from a service, and compares them with those that the installed PyTorch "
        "makes. Exits with 1 if any differ.",
    )
    verify.add_argument("url", metavar="URL", help="of the service, such as http://127.0.0.1:8080")
    verify.add_argument("--token-file", metavar="FILE", type=Path, help="file with the bearer token that the service wants")
    return parser


class _Phases:
    """A line on standard error for each phase that is done, with the time it took. A terminal also shows the running phase."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.terminal = quiet, sys.stderr.isatty()
        #: The running phase, or "", and the time when it began.
        self.phase, self.begun = "", 0.0

    def __call__(self, text: str) -> None:
        """Begins a phase. ``phase: text`` says how far the running phase is."""
        if not (self.phase and text.startswith(self.phase + ": ")):
            self.finish()
            self.phase, self.begun = text, time.monotonic()
        if self.terminal and not self.quiet:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\x1b[K" + f"{'...':>8}  {text}"[:width])
            sys.stderr.flush()

    def finish(self) -> None:
        """Ends the running phase, and says how long it took."""
        phase, seconds = self.phase, time.monotonic() - self.begun
        self.end()
        if phase and not self.quiet:
            sys.stderr.write(f"{seconds:6.1f} s  {phase}\n")
            sys.stderr.flush()

    def end(self) -> None:
        """Ends the running phase without a line, as after an error."""
        if self.phase and self.terminal and not self.quiet:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self.phase = ""


def _reason(error: Exception) -> str:
    """The system's message, without error number and names of temporary files."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _write(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    target = Path(output)
    # The file appears whole or not at all.
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=target.name + ".")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code: 0, 1 for a model that cannot be made or exported or a service that differs, 2 for wrong arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return _verify(parser, options) if options.command == "verify" else _trace(parser, options)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        print("weight_init: PyTorch is not installed: pip install 'weight-init[torch]'", file=sys.stderr)
        return 1


def _verify(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from .verification import verify

    try:
        token = options.token_file.read_text().strip() if options.token_file else None
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"cannot read the token file {str(options.token_file)!r}: {_reason(error)}")
    try:
        outcome = verify(options.url, token)
    except ValueError as error:
        parser.error(str(error))
    except (WeightInitError, OSError) as error:
        print(f"weight_init: {error}", file=sys.stderr)
        return 1
    for name in outcome.differences:
        print(f"{name}: differs")
    print(f"{outcome.compared - len(outcome.differences)} of {outcome.compared} tensors are those of torch {outcome.torch}.")
    return 1 if outcome.differences else 0


def _trace(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.output is not None and not Path(options.output).parent.is_dir():
        parser.error(f"there is no directory {str(Path(options.output).parent)!r} to write to")
    if options.output is not None and Path(options.output).is_dir():
        parser.error(f"cannot write {options.output!r}: it is a directory")
    progress = _Phases(options.quiet)
    progress("importing torch")
    from .exactness import notice
    from .loading import SpecificationError, constructor
    from .tracing import trace

    try:
        progress(f"importing {options.constructor.partition(':')[0]}")
        build = constructor(options.constructor)
        request = trace(build, device=options.device, description=options.description, progress=progress)
        progress.finish()
        if options.seed is not None:
            request = {"description": request.pop("description"), "seed": options.seed, **request}
        text = dumps(request)
        _write(text, options.output)
    except SpecificationError as error:
        progress.end()
        parser.error(str(error))
    except WeightInitError as error:
        progress.end()
        print(f"weight_init: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        progress.end()
        print(f"weight_init: cannot write {options.output or 'standard output'}: {_reason(error)}", file=sys.stderr)
        return 1
    inexact = notice(request)
    if inexact is not None and not options.quiet:
        print(inexact, file=sys.stderr)
    if options.output is not None and not options.quiet:
        print(f"{options.output}: {len(request['tensors'])} tensors, {len(request.get('steps', ()))} steps, {len(text)} bytes",
              file=sys.stderr)
    return 0
