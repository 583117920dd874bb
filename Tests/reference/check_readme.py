"""Runs the README's commands and programs against a running weight-init; what they print has to be what it says. Its table
of options has to be that of `serve --help`.

In a `console` block the lines behind `$ ` are commands and the others their output. A program's last line is a comment with
its output; programs whose language is not installed are left out, and that is said.

    python check_readme.py .build/release/weight-init
"""

import itertools
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from service import ROOT, Service

PROGRAMS = {
    "python": (sys.executable, [sys.executable, "program.py"]),
    "javascript": ("node", ["node", "program.mjs"]),
    "go": ("go", ["go", "run", "program.go"]),
}


def blocks(text):
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def check_console(block, directory, address):
    for session in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = session.partition("\n")
        yield command, expected, run(["bash", "-o", "pipefail", "-c", command.replace("localhost:8080", address)], directory)


def check_program(language, block, directory, address):
    tool, command = PROGRAMS[language]
    if shutil.which(tool) is None:
        print(f"check_readme: no {tool} here, the {language} program is not checked")
        return
    directory.joinpath(command[-1]).write_text(block.replace("localhost:8080", address))
    expected = block.splitlines()[-1].lstrip("#/ ")
    yield f"the {language} program", expected, run(command, directory)


def check_options(readme, program):
    """Names and defaults of the options, in order; help does not print the default of --log-level."""
    help = run([pathlib.Path(program).resolve(), "serve", "--help"], ROOT).partition("OPTIONS:")[2]
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n  (?=-)", help)]
    taken = re.findall(r"^(--\S+) <\S+> .*?(?:\(default: (\S+)\))?$", "\n".join(paragraphs), re.MULTILINE)
    listed = re.findall(r"^\| `(--\S+)` \| (\S+) \|", readme, re.MULTILINE)
    printed = "\n".join(f"{name} {default or 'notice'}" for name, default in taken)
    yield "serve --help", "\n".join(map(" ".join, listed)), printed


def run(command, directory):
    outcome = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
    return outcome.stdout if outcome.returncode == 0 else f"status {outcome.returncode}: {outcome.stderr}"


def main():
    passed = failed = 0
    with Service(sys.argv[1]) as service, tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        directory.joinpath("examples").symlink_to(ROOT / "examples")
        address = service.url.removeprefix("http://")
        readme = (ROOT / "README.md").read_text()
        checks = [check_options(readme, sys.argv[1])]
        for language, block in blocks(readme):
            if language == "console":
                checks.append(check_console(block, directory, address))
            elif language in PROGRAMS:
                checks.append(check_program(language, block, directory, address))
        for what, expected, printed in itertools.chain.from_iterable(checks):
            if printed.strip() == expected.strip():
                passed += 1
            else:
                failed += 1
                print(f"{what}\n  should print {expected.strip()}\n  prints {printed.strip()}", file=sys.stderr)
    print(f"check_readme: {passed} of {passed + failed} passed")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
