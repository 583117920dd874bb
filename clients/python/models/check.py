"""Exports real models, fetches them from the service, and compares every tensor with PyTorch's under a new seed.

    check.py PROGRAM                       the models of models.txt, and the program's own
    check.py PROGRAM --zoo docs/zoo.md     all of torchvision, one model of each family of timm, each architecture of transformers

The zoo takes half an hour. The next run resumes an interrupted one; after a change of the exporter, the service or the
libraries, all models are repeated: new models first, then the oldest results. Models that take more than three minutes
wait until all others are done.
"""

from __future__ import annotations

import argparse
import collections
import functools
import gc
import multiprocessing
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Iterator

# MKL's erfinv, exp, sin and cos have different bits on processors of different vendors and with AVX-512, and the
# built-in models contain some of them as literals. With this setting, the bits are the same on all processors, and
# equal to AMD's. MKL reads the variable when torch is imported.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")

import torch

import builtin
import catalogue
from comparison import SEED, Result, check
from isolation import PATIENCE, Stage, isolated
from tensors import Service
from weight_init.cli import main as main_of_exporter
from weight_init.literals import raw_bytes
from weight_init.loading import constructor
from weight_init.tracing import exported, named_state
from zoo import Progress, table

#: Library, key, and a function that finds the model.
Model = tuple[str, str, catalogue.Found]


def check_client(service: Service) -> None:
    """The client with the real service: into a module on the meta device, as arrays, as a state dict."""
    from torchvision.models import resnet50

    from weight_init import Client

    client = Client(service.url)
    request, _, _ = exported(resnet50, meta=True)
    torch.manual_seed(SEED)
    begun = time.monotonic()
    expected = resnet50()
    constructed = time.monotonic() - begun
    with torch.device("meta"):
        module = resnet50()
    begun = time.monotonic()
    client.load_(module, request, seed=SEED)
    loaded = time.monotonic() - begun
    state = client.state_dict(request, SEED)
    for (name, tensor), (_, made) in zip(named_state(expected), named_state(module), strict=True):
        assert raw_bytes(tensor) == raw_bytes(made), name
    assert set(state) == set(expected.state_dict())
    assert raw_bytes(state["fc.bias"]) == raw_bytes(expected.fc.bias)
    array = client.tensor("kaiming_normal", [64, 3, 7, 7], seed=SEED, mode="fan_out", nonlinearity="relu")
    torch.manual_seed(SEED)
    assert torch.equal(torch.from_numpy(array), torch.nn.init.kaiming_normal_(torch.empty(64, 3, 7, 7), mode="fan_out", nonlinearity="relu"))
    print(f"client: resnet50 of the meta device filled in {loaded:.2f} s; torchvision constructs it in {constructed:.2f} s", flush=True)


def check_command(service: Service) -> None:
    """The commands of README.md: the service accepts the exporter's file unchanged."""
    from safetensors.torch import load
    from torchvision.models import resnet50

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "resnet50.json")
        assert main_of_exporter(["trace", "--quiet", "torchvision.models:resnet50", "--seed", str(SEED), "-o", str(file)]) == 0
        headers = {"Content-Type": "application/json", "Accept": "application/x-safetensors"}
        with urllib.request.urlopen(urllib.request.Request(service.url + "/init", file.read_bytes(), headers), timeout=60) as reply:
            made = load(reply.read())
    torch.manual_seed(SEED)
    expected = resnet50().state_dict()
    assert made.keys() == expected.keys()
    assert all(raw_bytes(made[name]) == raw_bytes(tensor) for name, tensor in expected.items())
    print("command: resnet50 as its file's request makes it", flush=True)


def listed() -> Iterator[Model]:
    """The models of models.txt and the service's built-in models."""
    for line in Path(__file__).with_name("models.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.partition(":")[0].partition(".")[0], line, lambda line=line: (line, constructor(line))
    for model in builtin.listed():
        if not model.is_large:
            yield "built in", model.name, lambda model=model: (model.name, model.build())


def all_models() -> Iterator[Model]:
    """The models of the zoo."""
    for library in ("torchvision", "timm", "transformers"):
        for key, find in getattr(catalogue, f"{library}_models")():
            yield library, key, find


def checked(library: str, key: str, find: catalogue.Found, service: Service, stage: Stage = lambda name: None) -> Result:
    result = Result(library, key, key)
    stage("finding")
    try:
        result.name, build = find()
    except Exception as error:  # a config without defaults for all arguments, or a missing library
        result.outcome, result.detail = "unbuilt", f"{type(error).__name__}: {error}"
        return result
    check(result, build, service, by_name=key if library == "built in" else "", stage=stage)
    return result


def tell(result: Result) -> None:
    print(f"{result.outcome:10} {result.seconds:6.1f} s {result.request:8} bytes  {result.name}  {result.detail[:300]}", flush=True)


def check_listed(program: str, only: str) -> list[Result]:
    """The models of models.txt, then the client and the command."""
    results = []
    with Service(program) as service:
        for library, key, find in listed():
            if only in key:
                results.append(checked(library, key, find, service))
                tell(results[-1])
                gc.collect()
        if not only:
            check_client(service)
            check_command(service)
    return results


def check_zoo(program: str, only: str, progress: Progress, workers: int) -> list[Result]:
    """The models of the zoo, each in its own process, several at a time."""
    models = [model for model in all_models() if only in model[1]]
    left = progress.left(models)

    def work(mine: list[Model]) -> None:
        slow = []
        for model in mine:
            if not done(model, PATIENCE):
                slow.append(model)
                print(f"later      {model[1]}: takes more than {PATIENCE} s", flush=True)
        for model in slow:
            done(model, None)

    def done(model: Model, patience: float | None) -> bool:
        library, key, find = model
        # The service's process is the parent's, so that it ends if the model's process is killed.
        with Service(program) as service:
            attempt = functools.partial(checked, library, key, find, service)
            result = isolated(attempt, Result(library, key, key), patience=patience)
        if result is None:
            return False
        progress.add(result)
        tell(result)
        return True

    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=work, args=(left[index::workers],)) for index in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    known, earlier = progress.results(), progress.earlier()
    missing = [model[1] for model in models if model[:2] not in known or model[:2] in earlier]
    if missing:
        sys.exit(f"a worker died; run it again for the {len(missing)} models from {missing[0]} on")
    return [known[model[:2]] for model in models]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the weight-init to test")
    parser.add_argument("--only", metavar="TEXT", default="", help="models whose names hold it")
    parser.add_argument("--zoo", metavar="FILE", type=Path, help="check all models and write the table")
    parser.add_argument("--progress", metavar="FILE", type=Path, default=Path(".build/zoo.jsonl"),
                        help="where the zoo keeps the results of models that are done")
    parser.add_argument("--table", action="store_true", help="check nothing: write the table of the zoo's models that are done")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="models of the zoo at a time, each of which may take 8 GB")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.stdin = open(os.devnull)  # nobody answers the questions of libraries
    torch.set_num_threads(1)
    catalogue.declare_torchvision_operators()
    if options.zoo:
        progress = Progress(options.progress, options.program)
        if options.table:
            models, known = list(all_models()), progress.results()
            results = [known[model[:2]] for model in models if model[:2] in known]
        else:
            models = results = check_zoo(options.program, options.only, progress, options.workers)
        if options.table or not options.only:
            options.zoo.write_text(table(results, left=len(models) - len(results), earlier=progress.earlier()))
    else:
        results = check_listed(options.program, options.only)
    counted = collections.Counter(result.outcome for result in results)
    print(f"check_models: {len(results)} models: " + ", ".join(f"{n} {outcome}" for outcome, n in counted.most_common()))
    # Every listed model must equal PyTorch's within the bounds; in the zoo, only wrong results are errors.
    wrong = [result for result in results if result.is_wrong or (not options.zoo and not result.is_whole)]
    sys.exit(f"{len(wrong)} models are not PyTorch's" if wrong or not results else 0)


if __name__ == "__main__":
    main()
