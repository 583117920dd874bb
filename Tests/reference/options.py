"""Writes the tables of docs/options.md from the help of `weight-init serve`, so that each option is described once.

    python3 Tests/reference/options.py .build/release/weight-init
"""

import json
import pathlib
import re
import subprocess
import sys

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "options.md"


def described(program):
    """The options of `serve` as the program describes them, in the order of `--help`."""
    text = subprocess.run([program, "--experimental-dump-help"], capture_output=True, check=True, text=True, timeout=60).stdout
    [serve] = [command for command in json.loads(text)["command"]["subcommands"] if command["commandName"] == "serve"]
    return [argument for argument in serve["arguments"] if "sectionTitle" in argument]


def headed(program):
    """Heading, name, default, accepted values and meaning of each option."""
    for argument in described(program):
        meaning, notes = re.fullmatch(r"(.*?)(?: \(([^()]*)\))?", argument["abstract"]).groups("")
        accepted, _, default = notes.rpartition("default: ")
        if "default: " not in notes:
            accepted, default = notes, "none"
        yield argument["sectionTitle"], f"--{argument['valueName']}", default, accepted.strip("; "), meaning


def listed(program):
    """Name, default, accepted values and meaning of each option."""
    return [row for _, *row in headed(program)]


def tables(program):
    """A section with a table for each heading."""
    sections = {}
    for heading, name, default, accepted, meaning in headed(program):
        sections.setdefault(heading, []).append(f"| `{name}` | {default} | {accepted} | {meaning} |\n".replace("|  |", "| |"))
    head = "| option | default | accepted | |\n|---|---|---|---|\n"
    return "\n".join(f"## {heading}\n{head}{''.join(rows)}" for heading, rows in sections.items())


def pieces():
    """The document before the tables, and the tables."""
    return re.fullmatch(r"(.*?)(^## .*)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL).groups()


if __name__ == "__main__":
    before, _ = pieces()
    DOCUMENT.write_text(before + tables(sys.argv[1]))
