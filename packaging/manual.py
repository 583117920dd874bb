"""Writes the manual pages from the program's help: weight-init.1, and one page for each command, such as weight-init-serve.1.

    python3 packaging/manual.py .build/release/weight-init directory

The date of the pages is SOURCE_DATE_EPOCH, if it is set.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

PROGRAM = "weight-init"
FILES = [
    ("/etc/default/weight-init", "Environment of the service that the Debian package installs."),
]
EXIT_STATUS = {
    "0": "Success.",
    "1": "A file cannot be read or written, a check fails, or the service cannot listen or does not end in time.",
    "64": "The request is refused, or a command or an option is wrong.",
}
# Of serve alone.
SIGNAL_STATUS = {"128 + N": "A second signal, of number N, ended the service before it had drained."}


def escaped(text):
    """Text escaped for roff: backslashes, hyphens that are typed, and characters that would begin a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("\u2212", "\\[mi]").replace("'", "\\(aq")
    text = "".join(letter if ord(letter) < 128 or letter == "\\" else f"\\[u{ord(letter):04X}]" for letter in text)
    return re.sub(r"^(?=\.)", "\\&", text, flags=re.MULTILINE)


def paragraphs(text):
    """Paragraphs, filled; those whose lines are indented or begin with a prompt stay as they are."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip("\n"))):
        lines = paragraph.split("\n")
        if number:
            yield ".PP"
        while lines:
            # A heading such as EXAMPLES: may stand right above its lines.
            kept = [line for line in lines if re.match(r"  |\$ ", line)]
            if kept and kept == lines[-len(kept) :]:
                filled, lines = lines[: -len(kept)], []
            else:
                filled, kept, lines = lines, [], []
            if filled:
                yield escaped(" ".join(line.strip() for line in filled))
            if kept:
                if filled:
                    yield ".PP"
                indent = min(len(line) - len(line.lstrip()) for line in kept)
                yield from (".nf", ".RS 4", *(escaped(line[indent:]) for line in kept), ".RE", ".fi")


def spelling(name):
    return ("--" if name["kind"] == "long" else "-") + name["name"]


def title(argument):
    """The names of an option with its value, or the value of a positional argument."""
    value = f"\\fI{escaped(argument.get('valueName', 'value'))}\\fR"
    if argument["kind"] == "positional":
        return value + (" ..." if argument["isRepeating"] else "")
    names = ", ".join(f"\\fB{escaped(spelling(name))}\\fR" for name in argument["names"])
    return f"{names} {value}" if argument["kind"] == "option" else names


def synopsis(command):
    yield f".B {escaped(' '.join([*command.get('superCommands', []), command['commandName']]))}"
    for argument in shown(command):
        if argument["kind"] == "positional":
            yield f"[{title(argument)}]" if argument["isOptional"] else title(argument)
    if any(argument["kind"] != "positional" for argument in shown(command)):
        yield "[\\fIoptions\\fR]"
    if command.get("subcommands"):
        yield "\\fIcommand\\fR"


def shown(command):
    return [argument for argument in command.get("arguments", []) if argument["shouldDisplay"]]


def options(command):
    section = None
    for argument in shown(command):
        name = argument.get("sectionTitle", section and "Other")
        if name != section and name:
            yield f".SS {escaped(name)}"
        section = name
        yield ".TP"
        yield title(argument)
        meaning = argument.get("abstract", "")
        if "defaultValue" in argument and "default:" not in meaning:
            meaning += f" (default: {argument['defaultValue']})"
        yield escaped(meaning) or "No description."
        if argument.get("discussion"):
            yield ".IP"
            yield escaped(argument["discussion"])


def divided(discussion):
    """The examples of a discussion, and the rest. Help begins with examples; a manual page ends with them."""
    first, _, rest = discussion.partition("\n\n")
    heading, _, examples = first.partition("\n")
    return (examples, rest) if heading == "Examples:" else ("", discussion)


def brief(abstract):
    """The abstract as the NAME section has it. PyTorch keeps its capitals."""
    first, _, rest = abstract.strip().rstrip(".").partition(" ")
    return f"{first.lower() if first[1:].islower() else first} {rest}"


def page(command, name, version, date, others):
    yield f'.TH {escaped(name.upper())} 1 {date} "weight\\-init {version}" "User Commands"'
    yield ".SH NAME"
    yield f"{escaped(name)} \\- {escaped(brief(command.get('abstract', '')))}"
    yield ".SH SYNOPSIS"
    yield from synopsis(command)
    examples, description = divided(command.get("discussion", ""))
    if description:
        yield ".SH DESCRIPTION"
        yield from paragraphs(description)
    if shown(command):
        yield ".SH OPTIONS"
        yield from options(command)
    if command.get("subcommands"):
        yield ".SH COMMANDS"
        for part in documented(command):
            yield ".TP"
            yield f"\\fB{escaped(part['commandName'])}\\fR"
            yield escaped(part.get("abstract", ""))
    if command["commandName"] in ("serve", "health"):
        yield ".SH ENVIRONMENT"
        yield escaped(
            "Every option is also an environment variable: --max-connections is WEIGHT_INIT_MAX_CONNECTIONS. Options override variables."
        )
    yield ".SH EXIT STATUS"
    for status, meaning in (EXIT_STATUS | (SIGNAL_STATUS if command["commandName"] == "serve" else {})).items():
        yield from (".TP", status, escaped(meaning))
    if command["commandName"] == "serve":
        yield ".SH FILES"
        for file, meaning in FILES:
            yield from (".TP", f".I {escaped(file)}", escaped(meaning))
    if examples:
        yield ".SH EXAMPLES"
        yield from paragraphs(examples)
    yield ".SH SEE ALSO"
    yield ",\n".join(f".BR {escaped(other)} (1)" for other in others if other != name).replace("(1),", "(1) ,")


def documented(command):
    return [part for part in command["subcommands"] if part["shouldDisplay"] and part["commandName"] != "help"]


def pages(program):
    """The text of each page by its name."""
    run = lambda *arguments: subprocess.run([program, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout
    root = json.loads(run("--experimental-dump-help"))["command"]
    version = run("--version").strip()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0")) or datetime.datetime.now(datetime.timezone.utc).timestamp()
    date = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%d")
    commands = {PROGRAM: root} | {f"{PROGRAM}-{part['commandName']}": part for part in documented(root)}
    for name, command in commands.items():
        yield name, "\n".join(page(command, name, version, date, commands)) + "\n"


def write(program, directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages(program):
        (directory / f"{name}.1").write_text(text)


if __name__ == "__main__":
    write(sys.argv[1], pathlib.Path(sys.argv[2]))
