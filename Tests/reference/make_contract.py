"""Writes openapi.json, which the service also serves, from openapi.yaml.

    python3 Tests/reference/make_contract.py

`check_contract.py` compares the two files.
"""

import json
import pathlib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
JSON = ROOT / "openapi.json"


def contract():
    """The document as JSON: the same members in the same order."""
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    JSON.write_text(contract())
