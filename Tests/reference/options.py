"""Writes the table of docs/options.md from `weight-init serve --help`, so that each option is described once.

    python3 Tests/reference/options.py .build/release/weight-init
"""

import pathlib
import re
import subprocess
import sys

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "options.md"


def listed(program):
    """Name, default, accepted values and meaning of each option, in the order of `--help`."""
    text = subprocess.run([program, "serve", "--help"], capture_output=True, text=True, timeout=60).stdout
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n  (?=-)", text.partition("OPTIONS:")[2])]
    for name, meaning, notes in re.findall(r"^(--\S+) <\S+> (.*?)(?: \(([^()]*)\))?$", "\n".join(paragraphs), re.MULTILINE):
        accepted, _, default = notes.rpartition("default: ")
        if "default: " not in notes:
            accepted, default = notes, "none"
        yield name, default, accepted.strip("; "), meaning


def table(program):
    rows = [f"| `{name}` | {default} | {accepted} | {meaning} |\n" for name, default, accepted, meaning in listed(program)]
    return "| option | default | accepted | |\n|---|---|---|---|\n" + "".join(rows).replace("|  |", "| |")


def pieces():
    """The document before the table, the table, and the document after it."""
    return re.fullmatch(r"(.*?)(^\| option \|.*?)(^(?!\|).*)?", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL).groups("")


if __name__ == "__main__":
    before, _, after = pieces()
    DOCUMENT.write_text(before + table(sys.argv[1]) + after)
