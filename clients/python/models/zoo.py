"""The table docs/zoo.md, and the file that lets `make zoo` be interrupted and resumed."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import re
import subprocess
from pathlib import Path
from typing import Any, Collection, Sequence, TypeVar

from catalogue import LARGEST
from comparison import ERFINV_SHARE, Result
from isolation import MEMORY, PROCESSOR_SECONDS

#: Library, key, and a function that finds the model.
_Model = TypeVar("_Model", bound="tuple[str, str, Any]")

_HERE = Path(__file__).parent
_LIBRARIES = ("torch", "torchvision", "timm", "transformers")


#: Files that the results depend on, besides the libraries.
_SOURCES = ("models/catalogue.py", "models/comparison.py", *(f"src/weight_init/{name}.py" for name in (
    "blocks", "evaluation", "interpreter", "literals", "lowering", "recorder", "tracing", "words")))


class Progress:
    """Results of finished models, a JSON object per line, for this exporter, release of the service and libraries.

    The first line identifies them. Results for other versions are kept as earlier results until their models have been
    repeated; neither earlier nor wrong results count as done.
    """

    def __init__(self, path: Path, program: str) -> None:
        self._path = path
        release = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        head = json.dumps({"exporter": _digest(), "service": release, **_versions()})
        lines = path.read_text().splitlines() if path.exists() else []
        if lines[:1] != [head]:
            earlier = [json.dumps(json.loads(line) | {"earlier": True}) for line in lines[1:]]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([head, *earlier]) + "\n")

    def results(self) -> dict[tuple[str, str], Result]:
        """The last result for each library and key, earlier results included, oldest first."""
        known = {}
        for key, line in self._lines().items():
            line.pop("earlier", None)
            known[key] = Result(**line)
        return known

    def earlier(self) -> set[tuple[str, str]]:
        """Library and key of results for other versions."""
        return {key for key, line in self._lines().items() if line.get("earlier")}

    def left(self, models: Sequence[_Model]) -> list[_Model]:
        """The models to be done, in order: new models and wrong results, then those that have an earlier result, oldest first."""
        known, earlier = self.results(), self.earlier()
        ages = {key: age for age, key in enumerate(known)}
        new = [model for model in models if (result := known.get(model[:2])) is None or result.is_wrong]
        repeated = [model for model in models if model[:2] in earlier and model not in new]
        return new + sorted(repeated, key=lambda model: ages[model[:2]])

    def _lines(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The last line for each library and key, oldest first."""
        known: dict[tuple[str, str], dict[str, Any]] = {}
        for line in map(json.loads, self._path.read_text().splitlines()[1:]):
            key = line["library"], line["key"]
            known.pop(key, None)
            known[key] = line
        return known

    def add(self, result: Result) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(result)) + "\n")


def _digest() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((_HERE.parent / name).read_bytes())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def table(results: list[Result], *, left: int = 0, earlier: Collection[tuple[str, str]] = ()) -> str:
    """The text of docs/zoo.md. ``left`` models have not been tried; ``earlier`` names results that will be repeated."""
    marked = sum((result.library, result.key) in earlier for result in results)
    now = [result for result in results if (result.library, result.key) not in earlier]
    built = [result for result in results if result.outcome != "unbuilt"]
    counted = collections.Counter(result.outcome for result in built)
    whole = sum(result.is_whole for result in built)
    elements, apart = sum(result.erfinv for result in now), sum(result.erfinv_apart for result in now)
    lines = [
        "# Models that were exported",
        "",
        f"`make zoo` wrote this table with {', '.join(f'{n} {v}' for n, v in _versions().items())}. The models are all of torchvision, the",
        "smallest of each module of timm, and each architecture of transformers, smaller than its default if that is large. Each model",
        "was exported by [clients/python](../clients/python/README.md), made by the service under a seed that the exporter did not use,",
        "and compared with what the constructor makes under that seed: every parameter and every buffer, all bytes.",
        "",
        *([f"{marked} of the {len(results)} rows, marked with \\*, come from an earlier run, by another exporter, service or libraries, and have not been",
           "repeated yet.", ""] if marked else []),
        f"**{whole} of {len(built)} models ({math.floor(1000 * whole / max(len(built), 1)) / 10} %) are equal to PyTorch's, or differ"
        " within the bounds below.**"
        + (f" The run was interrupted: {left} further models have not been tried." if left else ""),
        "",
        "| outcome | models | meaning |",
        "|---|--:|---|",
        f"| exact | {counted['exact']} | every byte equals PyTorch's |",
        f"| erfinv | {counted['erfinv']} | exact, except elements that differ by a unit of `erfinv` ([bits.md](bits.md#exactness)) |",
        f"| orthogonal | {counted['orthogonal']} | exact, except the rounding of orthogonal matrices |",
        f"| refused | {counted['refused']} | the exporter says why no request can make it |",
        f"| wrong | {sum(result.is_wrong for result in built)} | an error of this project |",
        "",
        f"Of {_grouped(elements)} elements {'of rows without a mark ' if marked else ''}made through `erfinv`, {_grouped(apart)} differ: {100 * apart / max(elements, 1):.4f} %. A model may have"
        f" {100 * ERFINV_SHARE:.2f} % of its own,",
        "and four standard deviations of that number more: the share of all numbers is fixed, but a model's elements are a sample of them.",
    ]
    for library in _LIBRARIES[1:]:
        rows = [result for result in built if result.library == library]
        if rows:
            lines += ["", f"## {library}", "", f"{sum(row.is_whole for row in rows)} of {len(rows)} are equal, or differ within the bounds.", "",
                      "| model | outcome | tensors | of them rounded | state, MB | request, kB | |", "|---|---|--:|--:|--:|--:|---|",
                      *(_row(row, earlier) for row in rows)]
    missing = [result for result in results if result.outcome == "unbuilt"]
    if missing:
        lines += ["", "## Not tried", "",
                  f"{len(missing)} architectures cannot be constructed without further arguments, files or packages, or need more than"
                  f" {LARGEST / 1e6:.0f} million",
                  f"parameters, {MEMORY >> 30} GiB or {PROCESSOR_SECONDS} seconds.", "",
                  "| architecture | reason |", "|---|---|",
                  *(f"| {_name(result, earlier)} | {_cell(result.detail)} |" for result in missing)]
    return "\n".join(lines) + "\n"


def _name(result: Result, earlier: Collection[tuple[str, str]]) -> str:
    return f"`{result.name}`" + (" \\*" if (result.library, result.key) in earlier else "")


def _row(result: Result, earlier: Collection[tuple[str, str]]) -> str:
    sizes = ["", "", "", ""]
    if result.is_whole:
        sizes = [str(result.tensors), str(result.rounded or ""), f"{result.state / 1e6:.1f}", f"{result.request / 1e3:.1f}"]
    detail = result.detail
    if result.outcome == "erfinv" and result.erfinv:
        detail = f"{100 * result.erfinv_apart / result.erfinv:.4f} % of the elements made through erfinv"
    return f"| {_name(result, earlier)} | {result.outcome} | {' | '.join(sizes)} | {_cell(detail)} |"


def _grouped(count: int) -> str:
    return f"{count:,}".replace(",", "\u00a0")


def _cell(text: str) -> str:
    # Without paths of the machine that wrote the table.
    text = re.sub(r"\S*/site-packages/", "", text)
    text = re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= 200 else text[:199] + "…"
