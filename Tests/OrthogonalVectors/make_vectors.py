#!/usr/bin/env python3
"""Makes the digests of orthogonal tensors for `weight-init verify`, or checks existing ones.

    python make_vectors.py PROGRAM --output ../../Sources/CEmbeddedFiles/orthogonal.txt
    python make_vectors.py PROGRAM --check ../../Sources/CEmbeddedFiles/orthogonal.txt

PROGRAM is `weight-init` itself: these vectors are this project's own. They prove that its bits are the same on all
machines, not that they are right; for the latter, make_verification.py has PyTorch's elements with a tolerance. A line
is a query to /init, a space, and the SHA-256 of the elements' bytes, row-major and little-endian.
"""

import argparse
import hashlib
import pathlib
import subprocess
import sys

# Sizes around the ends of slabs, blocks and groups of columns; narrow, tall, square and wide.
SHAPES = ["24,16", "12,20", "1,40", "300,5", "17,17", "64,64", "130,129", "16,3,3,3", "300,257", "100,577", "600,40"]


def lines(program):
    yield "# Made by this program with Tests/OrthogonalVectors/make_vectors.py, not by PyTorch; do not edit."
    for seed, shape in enumerate(SHAPES):
        for dtype in ("float32", "float64"):
            gain = ["1", "1.5"][seed % 2]
            call = {"method": "orthogonal", "dtype": dtype, "shape": shape, "seed": str(seed), "gain": gain}
            options = [option for name, value in call.items() for option in (f"--{name}", value)]
            made = subprocess.run([program, "init", *options, "--format", "raw"], check=True, stdout=subprocess.PIPE).stdout
            yield "&".join(f"{name}={value}" for name, value in call.items()) + " " + hashlib.sha256(made).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="weight-init")
    parser.add_argument("--output", type=pathlib.Path, help="the file to write")
    parser.add_argument("--check", type=pathlib.Path, help="a file to compare with what the program makes now")
    options = parser.parse_args()
    text = "".join(line + "\n" for line in lines(options.program))
    if options.output:
        options.output.write_text(text)
    if options.check and options.check.read_text() != text:
        sys.exit(f"{options.check} is not what {options.program} makes")


if __name__ == "__main__":
    main()
