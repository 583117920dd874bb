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

from catalogue import LARGEST
from comparison import ERFINV_SHARE, Result
from isolation import MEMORY, PROCESSOR_SECONDS

_HERE = Path(__file__).parent
_LIBRARIES = ("torch", "torchvision", "timm", "transformers")


#: What the results depend on, beside the libraries.
_SOURCES = ("models/catalogue.py", "models/comparison.py", *(f"src/weight_init/{name}.py" for name in (
    "blocks", "evaluation", "interpreter", "literals", "lowering", "recorder", "tracing", "words")))


class Progress:
    """Results of models that are done, one JSON object a line, by this exporter, this release of the service and these libraries.

    The first line says by which; a file of others is begun anew. Wrong results do not count as done.
    """

    def __init__(self, path: Path, program: str) -> None:
        self._path = path
        release = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        head = json.dumps({"exporter": _digest(), "service": release, **_versions()})
        if not path.exists() or not path.read_text().startswith(head + "\n"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(head + "\n")

    def results(self) -> dict[tuple[str, str], Result]:
        """By library and key, the last one of each."""
        results = (Result(**json.loads(line)) for line in self._path.read_text().splitlines()[1:])
        return {(result.library, result.key): result for result in results}

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


def table(results: list[Result], *, left: int = 0) -> str:
    """The text of docs/zoo.md. ``left`` models have not been tried yet."""
    built = [result for result in results if result.outcome != "unbuilt"]
    counted = collections.Counter(result.outcome for result in built)
    whole = sum(result.is_whole for result in built)
    elements, apart = sum(result.erfinv for result in built), sum(result.erfinv_apart for result in built)
    lines = [
        "# Models that were exported",
        "",
        f"`make zoo` wrote this table with {', '.join(f'{n} {v}' for n, v in _versions().items())}. The models are all of torchvision, the",
        "smallest of each module of timm, and each architecture of transformers, smaller than its default if that is large. Each model",
        "was exported by [clients/python](../clients/python/README.md), made by the service under a seed that the exporter did not use,",
        "and compared with what the constructor makes under that seed: every parameter and every buffer, all bytes.",
        "",
        f"**{whole} of {len(built)} models ({math.floor(1000 * whole / max(len(built), 1)) / 10} %) come out whole.**"
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
        f"Of {_grouped(elements)} elements made through `erfinv`, {_grouped(apart)} differ: {100 * apart / max(elements, 1):.4f} %. A model may have"
        f" {100 * ERFINV_SHARE:.2f} % of its own,",
        "and four standard deviations of that number more: the share of all numbers is fixed, but a model's elements are a sample of them.",
    ]
    for library in _LIBRARIES[1:]:
        rows = [result for result in built if result.library == library]
        if rows:
            lines += ["", f"## {library}", "", f"{sum(row.is_whole for row in rows)} of {len(rows)} are whole.", "",
                      "| model | outcome | tensors | of them rounded | state, MB | request, kB | |", "|---|---|--:|--:|--:|--:|---|",
                      *map(_row, rows)]
    missing = [result for result in results if result.outcome == "unbuilt"]
    if missing:
        lines += ["", "## Not tried", "",
                  f"{len(missing)} configs construct no model without further arguments, files or packages, or only models of more than"
                  f" {LARGEST / 1e6:.0f} million",
                  f"parameters, {MEMORY >> 30} GiB or {PROCESSOR_SECONDS} seconds.", "",
                  "| architecture | reason |", "|---|---|",
                  *(f"| `{result.name}` | {_cell(result.detail)} |" for result in missing)]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> str:
    sizes = ["", "", "", ""]
    if result.is_whole:
        sizes = [str(result.tensors), str(result.rounded or ""), f"{result.state / 1e6:.1f}", f"{result.request / 1e3:.1f}"]
    detail = result.detail
    if result.outcome == "erfinv":
        detail = f"{100 * result.erfinv_apart / result.erfinv:.4f} % of the elements made through erfinv"
    return f"| `{result.name}` | {result.outcome} | {' | '.join(sizes)} | {_cell(detail)} |"


def _grouped(count: int) -> str:
    return f"{count:,}".replace(",", "\u00a0")


def _cell(text: str) -> str:
    # Paths of the machine that wrote the table say nothing.
    text = re.sub(r"\S*/site-packages/", "", text)
    text = re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= 200 else text[:199] + "…"
