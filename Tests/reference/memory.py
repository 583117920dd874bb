"""The most memory that a replica may use, by the sum in docs/operations.md."""

import pathlib
import re

OPERATIONS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "operations.md"
MIB = 1 << 20


def most(value):
    """The sum in bytes; `value` returns an option's value by its name without dashes."""
    text = OPERATIONS.read_text()
    table, rest = re.search(r"^The memory of a replica is at most the sum of\n\n(.*?)\n\n(.*)", text, re.DOTALL | re.MULTILINE).groups()
    [own] = re.findall(r"^and (\d+) MiB for the process itself", rest, re.MULTILINE)
    held = int(own) * MIB
    for first_cell in re.findall(r"^\| (`--.*?) \|", table, re.MULTILINE):
        product = 1
        for option in re.findall(r"`--([a-z-]+)`", first_cell):
            product *= int(value(option))
        held += product
    return held
