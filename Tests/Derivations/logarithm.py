#!/usr/bin/env python3
"""Compares PyTorch's float32 logarithm with the nearest float, and computes how often this changes a truncated normal.

    python3 Tests/Derivations/logarithm.py                                              on this processor
    python3 Tests/Derivations/logarithm.py --with 'qemu-x86_64 -cpu Haswell python3'     on another

Needs NumPy and PyTorch. `--with` names the command that runs Python with PyTorch.

If its bounds accept 30 % or less, trunc_normal_ draws a candidate x and a uniform u, and accepts x if log(u) <= logpdf(x), in float32.
The service uses the float nearest to log(u); PyTorch uses MKL's logarithm, which is a unit away for some of the 2^24
values of u. The decision differs if logpdf(x) is the lower one of the two logarithms. Both u and x have 2^24 equally
likely values, so that the probability is a sum over the values of u for which the logarithms differ. An element takes
several candidates, so the sum is divided by the accepted share.
"""
import argparse
import shlex
import subprocess
import sys

import numpy

COUNT = 1 << 24
#: mean, std, a, b: near the mode, narrow, off the mode, and tails, near and far, with bounds near and far.
CASES = [
    (0, 1, -0.3, 0.3), (0, 1, -0.01, 0.01), (0, 1, -1e-4, 1e-4), (0, 0.02, -1e-3, 1e-3), (0, 1, 0, 0.5), (0, 1, 1, 3), (0, 1, 2, 3),
    (0, 1, 3, 10), (0, 1, 5, 6), (0, 1, 8, 8.5), (0, 1, 2, 1000), (0, 0.02, 0.04, 2), (3, 0.5, -1, 1), (0, 1, -20, -1.5),
]


def uniform():
    return numpy.arange(COUNT, dtype=numpy.float32) * numpy.float32(2**-24)


def print_results():
    """Writes PyTorch's results for all values of u to the standard output."""
    import torch
    torch.set_num_threads(1)
    sys.stdout.buffer.write(torch.from_numpy(uniform()).log().numpy().tobytes())


def differing(command):
    """The lower one of the two logarithms, for each u for which they differ."""
    output = subprocess.run([*shlex.split(command), __file__, "--results"], stdout=subprocess.PIPE, check=True).stdout
    theirs = numpy.frombuffer(output, numpy.float32)
    with numpy.errstate(divide="ignore"):
        ours = numpy.log(uniform().astype(numpy.float64)).astype(numpy.float32)
    units = abs(theirs.view(numpy.int32).astype(numpy.int64) - ours.view(numpy.int32))
    print(f"{(units > 0).sum()} of {COUNT} logarithms differ ({(units > 0).mean():.2%}), by at most {units.max()} unit")
    where = units > 0
    return numpy.minimum(theirs[where], ours[where])


def density(mean, std, a, b):
    """logpdf of every candidate, rounded as trunc_normal_ does, sorted."""
    f = numpy.float32
    start, width = f(a), f(b) - f(a)
    x = (uniform().astype(numpy.float64) * float(width) + float(start)).astype(numpy.float32)
    mode = max(a, min(mean, b))
    c = (x - f(mean)) / f(std)
    return numpy.sort(c * c * f(-0.5) - f(-0.5 * ((mode - mean) / std) ** 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with", dest="command", metavar="COMMAND", default=shlex.quote(sys.executable), help="runs Python")
    parser.add_argument("--results", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.results:
        print_results()
        return
    lower = differing(options.command)
    worst = 0.0
    for case in CASES:
        values = density(*case)
        hits = numpy.searchsorted(values, lower, "right") - numpy.searchsorted(values, lower, "left")
        accepted = float(numpy.exp(values.astype(numpy.float64)).mean())
        share = float(hits.sum()) / COUNT / COUNT / accepted
        worst = max(worst, share)
        print(f"  mean {case[0]}, std {case[1]}, a {case[2]}, b {case[3]}: {1e9 * share:.4f} of 10^9 elements")
    print(f"at most {1e9 * worst:.2f} of 10^9 elements")


if __name__ == "__main__":
    main()
