"""Checks the documents against the repository and a running weight-init.

In a `console` block, lines after `$ ` are commands and the others their output, which has to be the same. A `sh` block
has to succeed. A document's commands run in one shell, one after the other, in a temporary directory with links to
the repository's folders. They use a running service, or one that their block starts. `<!-- not run: why -->` before a
block skips the block, which still has to be a script that names existing files and targets of make.

A JSON block right before a Python block is a request for the state dict of the `model` that the Python block makes:
names, shapes, dtypes and all bytes have to be equal, orthogonal tensors within a tolerance. Such Python blocks of a
document share their variables.

A program whose last line is a comment has to print the comment's text; programs whose language is not installed are
skipped with a message. Other blocks have to be valid: JSON, YAML, Python, or a diff that applies to the tree.

Targets of links, named paths of the repository, options of the program and targets of make have to exist. The table of
docs/options.md has to be made from `serve --help`, and figures have to be those of Benchmarks/RESULTS.md. Options that
error messages name have to exist, and defaults in openapi.yaml have to be those of `serve --help`. Git has to ignore the
files that the READMEs' commands write into a checkout. Fewer than 1 % of the lines of documentation comments may begin
with What, Whether, Where or Who.

    python check_documents.py .build/release/weight-init
"""

import ast
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request

import yaml

import options
from ports import free_port
from service import ROOT, Service

PROGRAMS = {
    "python": (sys.executable, [sys.executable, "program.py"]),
    "javascript": ("node", ["node", "program.mjs"]),
    "go": ("go", ["go", "run", "program.go"]),
}
# First folders of paths in documents.
FOLDERS = ("Benchmarks", "Sources", "Tests", "deploy", "docs", "examples", "packaging")
SECONDS = 300


def documents():
    for path in sorted(ROOT.rglob("*.md")):
        # The program embeds some documents through symbolic links, beside which relative links lead nowhere.
        if not path.is_symlink() and not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            yield path


def blocks(text):
    """Each block: the reason why it is not run, or nothing; its language; its text."""
    pattern = r"^(?:<!-- not run: ([^\n]+) -->\n)?```(\w*)\n(.*?)^```$"
    return re.findall(pattern, text, re.MULTILINE | re.DOTALL)


def prose(text):
    """A document without its blocks and its code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


# Replaces the program, and serves in the background until the block of commands is over.
STAND_IN = """\
if [ "$1" != serve ]; then exec {program} "$@"; fi
shift
{program} serve --port "$SERVE_PORT" "$@" > serving &
echo $! > serving.pid
for try in $(seq 600); do
    if grep -q http serving; then exit 0; fi
    kill -0 $! || exit 1
    sleep 0.1
done
"""


class Shell:
    """One bash for the commands of a document, which stops at the first failing command."""

    MARK = "\x1e"

    def __init__(self, directory, tools, address):
        self.directory, self.address = directory, address
        path = f"{tools}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "HOME": str(directory)}
        self.process = None

    def run(self, commands):
        """Runs commands; returns their output, or how they failed."""
        if self.process is None or self.process.poll() is not None:
            self.errors = tempfile.TemporaryFile("w+")
            self.process = subprocess.Popen(
                ["bash"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                text=True,
            )
            self.process.stdin.write("set -euo pipefail\n")
        if re.search(r"^weight-init serve\b", commands, re.MULTILINE):
            port = free_port()
            commands = commands.replace("localhost:8080", f"localhost:{port}")
            commands = f"export SERVE_PORT={port}\n{commands}\nkill $(cat serving.pid)\nrm serving.pid"
        for public in ("localhost:8080", "127.0.0.1:8080"):
            commands = commands.replace(public, self.address)
        self.process.stdin.write(f"{{\n{commands}\n}} < /dev/null\nprintf '{self.MARK}\\n'\n")
        self.process.stdin.flush()
        timer = threading.Timer(SECONDS, self.process.kill)
        timer.start()
        printed = ""
        for line in self.process.stdout:
            printed += line
            if line.endswith(f"{self.MARK}\n"):
                break
        timer.cancel()
        if printed.endswith(f"{self.MARK}\n"):
            return printed.removesuffix(f"{self.MARK}\n")
        self.errors.seek(0)
        return f"{printed}status {self.process.wait()}: {self.errors.read()}"

    def close(self):
        # A service whose block has failed still runs.
        serving = self.directory / "serving.pid"
        if serving.exists():
            subprocess.run(["kill", serving.read_text().strip()], stderr=subprocess.DEVNULL)
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(timeout=SECONDS)


def check_console(block, shell):
    for session in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        # A command continues after a backslash.
        command, expected = re.fullmatch(r"((?:.*\\\n)*.*)\n?((?:.*\n?)*)", session).groups()
        yield command, expected, shell.run(command)


def check_script(block, shell):
    printed = shell.run(block)
    yield block.strip(), "", printed[printed.find("status ") :] if shell.process.poll() is not None else ""


def check_unrun(block):
    outcome = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
    yield block.strip(), "", outcome.stderr
    yield from check_targets(re.sub(r"#.*", "", block), r"\bmake ([a-z-]+)")
    for name in re.findall(rf"(?<!\S)(?:{'|'.join(FOLDERS)})/\S+", block):
        yield f"the path {name}", "something", "something" if (ROOT / name).exists() else "nothing"


def check_targets(text, pattern):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(pattern, text):
        yield f"make {target}", "a target", "a target" if target in targets else "none"


def check_program(language, block, directory, address):
    tool, command = PROGRAMS[language]
    if shutil.which(tool) is None:
        print(f"check_documents: no {tool} here, the {language} program is not checked")
        return
    directory.joinpath(command[-1]).write_text(block.replace("localhost:8080", address))
    expected = block.splitlines()[-1].lstrip("#/ ")
    outcome = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=SECONDS)
    yield f"the {language} program", expected, outcome.stdout if outcome.returncode == 0 else outcome.stderr


def check_models(text, service):
    """Compares requests with the PyTorch code below them."""
    pairs = re.findall(r"^```json\n((?:(?!```).*\n)+)```\n\n```python\n((?:(?!```).*\n)+)```$", text, re.MULTILINE)
    if not pairs:
        return
    import torch
    from safetensors.torch import load

    names = {}
    for block, program in pairs:
        request = json.loads(block)
        near = {step.get("tensor") for step in request.get("steps", []) if step["method"] == "orthogonal"}
        reply = load(service.post("/init", {**request, "format": "safetensors"}))
        exec(program, names)
        state = names["model"].state_dict()
        yield program, " ".join(sorted(state)), " ".join(sorted(reply))
        for name in state.keys() & reply.keys():
            expected, made = state[name].contiguous(), reply[name]
            yield f"{name} of\n{program}", f"{expected.dtype} {tuple(expected.shape)}", f"{made.dtype} {tuple(made.shape)}"
            if name in near:
                same = torch.allclose(made, expected, rtol=0, atol=1e-5)
            else:
                same = bytes(made.reshape(-1).view(torch.uint8)) == bytes(expected.reshape(-1).view(torch.uint8))
            yield f"{name} of\n{program}", "PyTorch's", "PyTorch's" if same else "others"


def check_form(language, block):
    """Checks that a block is valid in its language."""
    if language == "diff":
        outcome = subprocess.run(["git", "apply", "--check", "-"], cwd=ROOT, input=block, capture_output=True, text=True)
        yield "the diff", "", outcome.stderr
        return
    # A document may show a member without the object around it.
    text = f"{{{block}}}" if language == "json" and block.startswith('"') else block
    try:
        {"json": json.loads, "yaml": yaml.safe_load, "python": ast.parse, "text": str}[language](text)
        yield language, "", ""
    except KeyError:
        yield block.strip(), "a language", "none that is checked"
    except (ValueError, SyntaxError, yaml.YAMLError) as error:
        yield block.strip(), language, str(error)


def check_block(why, language, block, shell):
    if language == "console":
        return check_console(block, shell)
    if language == "sh":
        return check_unrun(block) if why else check_script(block, shell)
    if language in PROGRAMS and re.match(r"#|//", block.splitlines()[-1]):
        return check_program(language, block, shell.directory, shell.address)
    return check_form(language, block)


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_names(path, text, known):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        led = path.parent / name if name else path
        there = led.exists() and (not anchor or anchor in anchors(led))
        yield f"the link to {target}", "something", "something" if there else "nothing"
    for name in set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./+-]+)`", text)):
        there = (ROOT / name).exists() or (path.parent / name).exists()
        yield f"the path {name}", "something", "something" if there else "nothing"
    for option in set(re.findall(r"`(--[a-z-]+)", text)) if known else ():
        yield f"the option {option}", "an option", "an option" if option in known else "none"
    yield from check_targets(text, r"`make ([a-z-]+)`")
    yield "blocks", str(len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)) // 2), str(len(blocks(text)))


def check_problems():
    """Each `type` of a problem names a section of docs/problems.md."""
    there = anchors(ROOT / "docs" / "problems.md")
    for anchor in set(re.findall(r"/docs/problems#([a-z-]+)", (ROOT / "openapi.yaml").read_text())):
        yield f"/docs/problems#{anchor}", "a section", "a section" if anchor in there else "none"


def check_defaults(program):
    """Defaults of limits in the contract are those of `serve --help`."""
    text = " ".join((ROOT / "openapi.yaml").read_text().split())
    listed = {name: default for name, default, *_ in options.listed(program)}
    written = re.findall(r"(\d+)[^()\d]*\(`(--[a-z-]+)`, by default\)", text)
    yield "options with a default", str(text.count("`, by default)")), str(len(written))
    names = {name for _, name in written}
    for number, name in written:
        yield f"the default of {name}", listed.get(name, "no option"), number
    for name in ("--max-body-bytes", "--max-json-elements", "--max-tensor-bytes"):
        yield f"the default of {name}", "written", "written" if name in names else "missing"


def check_exposed(program):
    """docs/operations.md lists the fields that pages of other origins may read."""
    [sentence] = re.findall(r"They expose (.*?)\. ", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    with Service(program, "--cors-origin", "*") as service:
        with urllib.request.urlopen(f"{service.url}/livez", timeout=SECONDS) as reply:
            yield "exposed fields", reply.headers["Access-Control-Expose-Headers"], ", ".join(re.findall(r"`(.+?)`", sentence))


def help_of(program, *words):
    return subprocess.run([program, *words, "--help"], capture_output=True, text=True, timeout=SECONDS).stdout


def check_options(program):
    yield "serve --help", options.pieces()[1], options.tables(program)
    known = options_of(program)
    for path in sorted((ROOT / "Sources").rglob("*.swift")):
        for option in set(re.findall(r'^[^/\n]*".*?\((--[a-z-]+)\)', path.read_text(), re.MULTILINE)):
            yield f"{path.relative_to(ROOT)}: the option {option}", "an option", "an option" if option in known else "none"


def check_first_words():
    paths = [path for pattern in ("*.swift", "*.h", "*.c") for folder in FOLDERS for path in (ROOT / folder).rglob(pattern)]
    lines = [line for path in paths for line in re.findall(r"^\s*/// *(.*)$", path.read_text(), re.MULTILINE)]
    vague = [line for line in lines if re.match(r"(What|Whether|Where|Who)\b", line)]
    print(f"check_documents: {len(vague)} of {len(lines)} documentation lines begin with What, Whether, Where or Who")
    yield "documentation lines", "few", "few" if 100 * len(vague) < len(lines) else "\n".join(vague)


def check_written():
    """Git ignores the files that the READMEs' commands write into a checkout."""
    texts = [(ROOT / name).read_text() for name in ("README.md", "clients/python/README.md")]
    # pip builds a package in its own directory.
    names = {"clients/python/build/lib", *re.findall(r"^[^#\n]* -s?o ([\w.]+)", "".join(texts), re.MULTILINE)}
    for name in sorted(names):
        outcome = subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT)
        yield f"git check-ignore {name}", "ignored", "not ignored" if outcome.returncode else "ignored"


def check_figures():
    command = [sys.executable, ROOT / "Benchmarks" / "figures.py", "--check"]
    yield "Benchmarks/figures.py --check", "", subprocess.run(command, capture_output=True, text=True).stderr


def options_of(program):
    """All options of all subcommands."""
    commands = re.findall(r"^  ([a-z]+) ", help_of(program).partition("SUBCOMMANDS:")[2], re.MULTILINE)
    texts = [help_of(program), *(help_of(program, name) for name in commands)]
    # Swift's argument parser adds this option and does not list it.
    return {"--generate-completion-script", *re.findall(r"--[a-z-]+", "".join(texts))}


def check_document(path, directory, tools, service, known):
    text = path.read_text()
    # Benchmarks and tests have their own options.
    parts = path.relative_to(ROOT).parts
    part = parts[0]
    # Recipes also name the options that they add.
    others = part in ("Benchmarks", "Tests", "clients") or "recipes" in parts
    yield from check_names(path, text, None if others else known)
    yield from check_models(text, service)
    address = service.url.removeprefix("http://")
    shell = Shell(directory, tools, address)
    for why, language, block in blocks(text):
        # The client's commands and programs need its package, which `make test-client` tests.
        if part == "clients":
            yield from check_form({"console": "text", "sh": "text"}.get(language, language), block)
        else:
            yield from check_block(why, language, block, shell)
    shell.close()


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    passed = failed = 0

    def count(where, checks):
        nonlocal passed, failed
        for what, expected, printed in checks:
            if printed.strip() == expected.strip():
                passed += 1
            else:
                failed += 1
                print(f"{where}: {what}\n  should give {expected.strip()}\n  gives {printed.strip()}", file=sys.stderr)

    with Service(program) as service, tempfile.TemporaryDirectory() as name:
        tools = pathlib.Path(name, "tools")
        tools.mkdir()
        tools.joinpath("weight-init").write_text("#!/bin/sh\n" + STAND_IN.format(program=shlex.quote(str(program))))
        tools.joinpath("weight-init").chmod(0o755)
        known = options_of(program)
        count("docs/options.md", check_options(program))
        count("docs/operations.md", check_exposed(program))
        count("openapi.yaml", check_problems())
        count("openapi.yaml", check_defaults(program))
        count("figures", check_figures())
        count(".gitignore", check_written())
        count("Sources, Tests", check_first_words())
        for index, path in enumerate(documents()):
            directory = pathlib.Path(name, str(index))
            directory.mkdir()
            for entry in (*FOLDERS, "openapi.yaml"):
                directory.joinpath(entry).symlink_to(ROOT / entry)
            count(path.relative_to(ROOT), check_document(path, directory, tools, service, known))
            shutil.rmtree(directory)
    print(f"check_documents: {passed} of {passed + failed} passed")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
