"""Checks the built package: a wheel and an sdist of the service's version, with all modules, types and metadata, and a wheel that runs.

    check_package.py DIRECTORY
"""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def main() -> None:
    release = (PROJECT.parents[1] / "Sources/InitAPI/Release.swift").read_text()
    found = re.search(r'version = "(.+)"', release)
    assert found is not None, "Release.swift names no version"
    version = found[1]
    built = {path.name for path in Path(sys.argv[1]).iterdir()}
    wheel, sdist = f"weight_init-{version}-py3-none-any.whl", f"weight_init-{version}.tar.gz"
    assert built == {wheel, sdist}, f"{sorted(built)} should be {wheel} and {sdist}"

    sources = {f"weight_init/{path.name}" for path in (PROJECT / "src/weight_init").iterdir() if path.is_file()}
    assert "weight_init/py.typed" in sources
    with zipfile.ZipFile(Path(sys.argv[1]) / wheel) as archive, tempfile.TemporaryDirectory() as folder:
        packed = {name for name in archive.namelist() if name.startswith("weight_init/")}
        assert packed == sources, f"the wheel lacks or adds {sorted(packed ^ sources)}"
        metadata = email.message_from_bytes(archive.read(f"weight_init-{version}.dist-info/METADATA"))
        archive.extractall(folder)
        for arguments, expected in ((["--help"], "usage: python -m weight_init"), (["--version"], f"weight-init {version}\n")):
            said = subprocess.run(
                [sys.executable, "-m", "weight_init", *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": folder}, text=True,
                capture_output=True, check=True,
            )
            assert said.stdout.startswith(expected), said.stdout
        code = "import weight_init; print(weight_init.__file__)"
        place = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": folder}, text=True, capture_output=True, check=True
        ).stdout
        assert place.startswith(folder), f"{place} is not the wheel's"
    assert metadata["Version"] == version and metadata["License-Expression"] == "Apache-2.0" and metadata["Requires-Python"]
    always = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert always == ["numpy>=1.24"], always
    assert (PROJECT / "README.md").read_text() in metadata.get_payload(decode=True).decode()

    with tarfile.open(Path(sys.argv[1]) / sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    missing = {f"src/{name}" for name in sources} | {"pyproject.toml", "README.md"}
    assert missing <= names, f"the sdist lacks {sorted(missing - names)}"
    print(f"check_package: {wheel} and {sdist}, {len(sources)} files")


if __name__ == "__main__":
    main()
