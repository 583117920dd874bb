"""Turns results into RESULTS.md."""

import re


def write(sections, environment, notes):
    explanations = _explanations(notes)
    rows = [(name, row) for name, section in sections.items() for row in section.get("rows", [])]
    aimed = [row for _, row in rows if row["reached"] is not None]
    missed = [(name, row) for name, row in rows if row["reached"] is False]
    parts = [
        "# Results\n\nWritten by `make bench`; explanations come from [NOTES.md](NOTES.md). Ratios count: what is compared "
        "ran alternately, pinned, on one machine.\n",
        _machine(environment, sections),
        f"\n**{len(aimed) - len(missed)} of {len(aimed)} targets reached.**"
        + ("" if not missed else " Missed: " + "; ".join(_name(sections[name], row) for name, row in missed) + ".")
        + "\n",
    ]
    for name, section in sections.items():
        parts.append(f"\n## {section['title']}\n")
        if "skipped" in section:
            parts.append(f"\nNot measured: {section['skipped']}.\n")
        if "rows" in section:
            parts.append(_table(section))
        if "sizes" in section:
            parts.append(_sizes(section["sizes"]))
        if name in explanations:
            parts.append("\n" + explanations[name] + "\n")
        parts.append(f"\n<sub>`{name}`, {section['taken']}, load {section['load']:.1f} at its end</sub>\n")
    return "".join(parts)


def _name(section, row):
    return f"{row['what']} ({section['title'].lower()})"


def _explanations(notes):
    """The text under each `## section` of NOTES.md."""
    pieces = re.split(r"^## (\S+)\s*$", notes, flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(pieces[1::2], pieces[2::2])}


def _machine(environment, sections):
    taken = sorted(section["taken"] for section in sections.values())
    lines = ["\n| | |\n|---|---|\n", f"| date | {taken[0]} to {taken[-1]} |\n"]
    return "".join(lines + [f"| {name} | {value} |\n" for name, value in environment.items()])


def _number(value):
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _table(section):
    peer = section["peer"] or ""
    lines = [f"\n| | weight-init | {peer} | unit | ratio | target | |\n|---|---:|---:|---|---:|---:|---|\n"]
    for row in section["rows"]:
        is_ratio = row["peer"] is not None and row["ratio"] != row["ours"]
        sign = "≤" if row["smaller"] else "≥"
        target = "" if row["target"] is None else f"{sign} {_number(row['target'])}"
        verdict = {None: "", True: "reached", False: "**missed**"}[row["reached"]]
        note = f" ({row['note']})" if row["note"] else ""
        lines.append(
            f"| {row['what']}{note} | {_number(row['ours'])} | {_number(row['peer'])} | {row['unit']} "
            f"| {_number(row['ratio']) if is_ratio else ''} | {target} | {verdict} |\n"
        )
    return "".join(lines)


def plain(section):
    """The rows for a terminal."""
    lines = []
    for row in section["rows"]:
        missed = {None: "", True: "", False: "  MISSED"}[row["reached"]]
        target = "" if row["target"] is None else f" (target {'≤' if row['smaller'] else '≥'} {_number(row['target'])}){missed}"
        ratio = "" if row["peer"] is None else f", ratio {_number(row['ratio'])}"
        lines.append(f"  {row['what']:<66} {_number(row['ours']):>9} {row['unit']}{ratio}{target}")
    return "\n".join(lines)


def _sizes(table):
    lines = ["\n| elements | weight-init | torch | ratio | weight-init, M elements/s |\n|---|---:|---:|---:|---:|\n"]
    for entry in table:
        elements = 1 << entry["exponent"]
        lines.append(
            f"| 2^{entry['exponent']} | {_time(entry['ours'])} | {_time(entry['torch'])} "
            f"| {_number(entry['torch'] / entry['ours'])} | {_number(elements / entry['ours'] / 1e6)} |\n"
        )
    return "".join(lines)


def _time(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_number(seconds / size)} {unit}"
    return f"{seconds * 1e9:.0f} ns"
