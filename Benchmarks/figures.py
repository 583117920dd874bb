"""Writes figures of RESULTS.md, and figures computed from them, into the documents, so that nobody types a number.

    python3 Benchmarks/figures.py           # writes the blocks anew
    python3 Benchmarks/figures.py --check   # names blocks that differ from RESULTS.md

A block stands between `<!-- figures: name -->` and `<!-- end of figures -->`.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
DOCUMENTS = ("README.md", "docs/operations.md")


class Results:
    """The tables of RESULTS.md: by the title of the section, then by the beginning of a row."""

    def __init__(self, text):
        self.sections = {}
        for piece in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
            title, _, body = piece.partition("\n")
            rows = re.findall(r"^\| (.+) \|$", body, re.MULTILINE)
            self.sections[title] = [re.split(r" ?\| ?", row) for row in rows]
        self.machine = dict(re.findall(r"^\| ([a-z]\w*) \| (.+) \|$", text, re.MULTILINE))

    def row(self, section, what):
        """The cells: what, weight-init's, the peer's, unit, ratio, …"""
        # The first of several tables is the one for the best instruction set.
        title = next(title for title in self.sections if title.startswith(section))
        return next(row for row in self.sections[title] if row[0].startswith(what))

    def ours(self, section, what):
        return float(self.row(section, what)[1].replace(" ", ""))

    def peers(self, section, what):
        return float(self.row(section, what)[2].replace(" ", ""))


MADE = "In process against PyTorch, one thread"
ORTHOGONAL = ("Orthogonal matrices against PyTorch", "orthogonal, 1024 × 1024, float32")
SMALL = "Small requests against a minimal C server"
TENSOR = "/init of 64 × 64 float32, raw"
SENT = "A body of 1 GiB over loopback"
PYTHON = "Against a service of FastAPI"
NGINX = "Against nginx"


def figure(value, digits=3):
    """A number with as many digits as the measurement supports."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.{digits}g}"


def table(head, rows):
    alignment = ["---"] + ["---:"] * (len(head) - 1)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, alignment, *rows)).replace("|  |", "| |")


def speed(results):
    def row(what, *place):
        _, ours, peers, unit, ratio, *_ = results.row(*place)
        return what, f"{ours} {unit}", f"{peers} {unit}", ratio

    def rate(what, name, *place):
        """Requests a second against FastAPI's, which caches none."""
        ours, peers = results.ours(*place), results.peers(PYTHON, name)
        return what, f"{figure(ours)} requests/s", f"{figure(peers)} requests/s", figure(ours / peers)

    python = [
        rate("`/init` of 64 × 64 float32, raw, a new seed each time", TENSOR, PYTHON, f"{TENSOR}, new"),
        rate("the same request again, cached", TENSOR, SMALL, f"{TENSOR}, repeated"),
        rate("`/gain`, a new `param` each time", "/gain", PYTHON, "/gain, new"),
        row("`/init` of 256 MiB of normals, raw", PYTHON, "normal, 256 MiB"),
        row("`/init` of a million normals as JSON", PYTHON, "normal, a million"),
        row("peak memory", PYTHON, "memory"),
    ]
    torch = [
        row("uniform, float32", MADE, "uniform, float32"),
        row("normal, float32", MADE, "normal, float32"),
        row("normal, bfloat16", MADE, "normal, bfloat16"),
        row("trunc_normal, float32", MADE, "trunc_normal"),
        row("orthogonal, 1024 × 1024", *ORTHOGONAL),
    ]
    return (
        table(("over HTTP", "weight-init", "FastAPI and PyTorch", "ratio"), python)
        + "\n"
        + table(("in process, one thread", "weight-init", "PyTorch", "ratio"), torch)
    )


def sizing(results):
    def body(made, sent):
        """GB/s of a core that makes bytes and sends them in turn."""
        return 1 / (1 / made + 1 / sent)

    sent = results.ours(SENT, "zeros")
    uniform = results.ours(MADE, "uniform, float32") * 4 / 1000
    normal = results.ours(MADE, "normal, float32") * 4 / 1000
    halves = results.ours(MADE, "normal, bfloat16") * 2 / 1000
    truncated = results.ours(MADE, "trunc_normal") * 4 / 1000
    orthogonal = 4 * 1024**2 / results.ours(*ORTHOGONAL) / 1e6
    cached = results.peers(NGINX, "1 GiB")

    core = [
        ("`/gain`, a new `param` each time", f"{figure(results.ours(SMALL, '/gain, new'))} requests/s"),
        (
            "`/init` of 64 × 64 float32, raw, a new seed each time",
            f"{figure(results.ours(SMALL, f'{TENSOR}, new seeds'))} requests/s",
        ),
        ("the same request again, cached", f"{figure(results.ours(SMALL, f'{TENSOR}, repeated'))} requests/s"),
        ("long bodies of float32 uniforms", f"{figure(results.ours(SENT, 'uniform, share'))} GB/s"),
        ("long bodies of float32 normals", f"{figure(results.ours(SENT, 'normal, share'))} GB/s"),
    ]
    computed = [
        ("float32 uniforms", uniform, results.ours(SENT, "uniform, share")),
        ("float32 normals", normal, results.ours(SENT, "normal, share")),
        ("bfloat16 normals", halves, None),
        ("float32 truncated normals", truncated, None),
        ("float32 orthogonal, 1024 × 1024", orthogonal, None),
    ]
    bodies = [
        (
            what,
            figure(made),
            figure(body(made, sent)),
            figure(measured) if measured else "",
            figure(cached / body(made, sent), 2),
        )
        for what, made, measured in computed
    ]

    parameters, workers, cores = 70e9, 100, 2
    model = parameters * 2 / 1e9
    replica = cores * body(halves, sent)
    links = (10 / 8, 25 / 8)
    fleet = []
    for count in (1, 3, 10, 30):
        seconds = [model / (count * min(replica, link)) for link in (*links, replica)]
        fleet.append((str(count), figure(count * replica), *(f"{figure(second)} s" for second in seconds)))

    kernels = re.search(r"avx\w+|baseline", results.machine["kernels"]).group()
    return (
        f"Measured on {results.machine['processor']} with {kernels}, server and client on a core each:\n\n"
        + table(("one core", ""), core)
        + "\nOne core generates bytes and sends them in turn. The table computes the served rate from the rate in process and from "
        f"the {figure(sent)} GB/s of zeros that the core sends, beside the measured rate:\n\n"
        + table(("GB/s of one core", "in process", "served, computed", "measured", "from a cache"), bodies)
        + "\nThe last column says how many times as fast a cache serves them: nginx with a file in memory "
        f"({figure(cached)} GB/s). If it is below 1, a cache saves the replicas' work and costs the client time.\n"
        f"\n{workers} workers fetch the shards of a model of 70 · 10^9 parameters in bfloat16 normals, "
        f"{figure(model / workers)} GB each and {figure(model)} GB in all, from replicas of {cores} cores:\n\n"
        + table(("replicas", "GB/s", "10 Gbit/s each", "25 Gbit/s each", "no bound but the cores"), fleet)
        + "\nThe times are those of all workers together. A worker's range is generated without the rest of the model, so "
        f"only the number of bytes counts; a worker with a link of 10 Gbit/s cannot receive its {figure(model / workers)} GB in "
        f"less than {figure(model / workers / links[0])} s.\n"
    )


BLOCKS = {"speed": speed, "sizing": sizing}


def rewritten(text, results):
    """The document with up-to-date blocks."""
    return re.sub(
        r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)",
        lambda match: f"{match[1]}\n{BLOCKS[match[2]](results)}\n{match[3]}",
        text,
        flags=re.DOTALL,
    )


def differing():
    """The documents whose blocks differ from RESULTS.md, with their corrected text."""
    results = Results((HERE / "RESULTS.md").read_text())
    for path in (ROOT / name for name in DOCUMENTS):
        text = path.read_text()
        wanted = rewritten(text, results)
        if wanted != text:
            yield path, wanted


def write():
    for path, text in differing():
        path.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        write()
    elif names := [str(path.relative_to(ROOT)) for path, _ in differing()]:
        raise SystemExit(f"not what RESULTS.md says: {', '.join(names)}; python3 Benchmarks/figures.py writes it anew")
