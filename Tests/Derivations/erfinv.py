#!/usr/bin/env python3
"""Derives the polynomials of erfinv in Sources/CTorchKernels/erfinv.c, and proves their results.

    python3 Tests/Derivations/erfinv.py             print the coefficients
    python3 Tests/Derivations/erfinv.py --check     compare them with the source's, exit 1 if they differ
    python3 Tests/Derivations/erfinv.py --prove     evaluate every float32 in [2^-26, 1) as the source does
    python3 Tests/Derivations/erfinv.py --torch     compare PyTorch's float32 erfinv with the nearest floats
    python3 Tests/Derivations/erfinv.py --torch --with 'qemu-x86_64 -cpu Haswell python3'    the same on another one

Needs mpmath, NumPy and, for the last two, PyTorch. `--with` names the command that runs Python with PyTorch. The
functions are interpolated at Chebyshev points with 40 digits.

The proof. In float64 without fused operations, the source's scalar form is within 2^-52 of the true value. If this
value is so near to the middle between two floats that the error could decide, mpmath decides with 50 digits. For one
input of 218 103 808 the double is on the wrong side, and the source names this input. The SHA-256 of all results, as
printed, is in Tests/CTorchKernelsTests. Below 2^-26 erfinv(x) is x · √π/2 within 2^-54, and no product of a float's
significand with that constant lies within 2^-50 of a tie.

The kernels' vector code uses a table, which the program makes with these polynomials. `make prove-erfinv` measures the
table's error at every float, and compares every kernel's result with the scalar form's.

PyTorch's own float32 results are MKL's. They differ from the nearest float by at most a unit in the last place, and
differ between processors. erfinv_exceptions.npz has the inputs for which an AMD processor's results differ: bits of x,
and a flag for results that are one up. `--save` makes such a file. MKL chooses its code by the processor's vendor and
instruction sets; MKL_ENABLE_INSTRUCTIONS=AVX2 makes it omit AVX-512.
"""
import argparse
import hashlib
import pathlib
import re
import shlex
import subprocess
import sys

import mpmath
import numpy

mpmath.mp.dps = 50
ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "Sources/CTorchKernels/erfinv.c"
EXCEPTIONS = pathlib.Path(__file__).with_name("erfinv_exceptions.npz")
FIRST, END = 0x32800000, 0x3F800000


def of_square(s):
    x = mpmath.sqrt(s)
    return mpmath.erfinv(x) / x if s else mpmath.sqrt(mpmath.pi) / 2


def of_logarithm(w):
    return of_square(-mpmath.expm1(-w))


def of_root(r):
    return of_logarithm(r * r)


# name: function, ends, degree, and the centre of its powers
POLYNOMIALS = {
    "erfinv_small": (of_square, 0, 0.25, 15, 0.125),
    "erfinv_middle": (of_logarithm, 0.28, 3, 19, 1.64),
    "erfinv_far": (of_logarithm, 3, 6.25, 18, 4.625),
    "erfinv_tail": (of_root, 2.5, 4.08, 22, 3.29),
}


def interpolate(function, low, high, degree, centre):
    """The coefficients in powers of (t − centre), lowest first, of the polynomial through Chebyshev's points."""
    low, high, count = mpmath.mpf(low), mpmath.mpf(high), degree + 1
    middle, half = (low + high) / 2, (high - low) / 2
    angles = [mpmath.pi * (k + mpmath.mpf(1) / 2) / count for k in range(count)]
    values = [function(middle + half * mpmath.cos(angle)) for angle in angles]
    series = [2 * sum(v * mpmath.cos(j * a) for v, a in zip(values, angles)) / count for j in range(count)]
    series[0] /= 2
    powers, before, polynomial = [mpmath.mpf(1)], [mpmath.mpf(0)], [mpmath.mpf(0)] * count
    for j in range(count):
        for i, value in enumerate(powers):
            polynomial[i] += series[j] * value
        following = [mpmath.mpf(0)] + [(2 if j else 1) * value for value in powers]
        for i, value in enumerate(before if j else []):
            following[i] -= value
        powers, before = following, powers
    polynomial = [value / half ** i for i, value in enumerate(polynomial)]
    shift = centre - middle
    return [sum(polynomial[k] * mpmath.binomial(k, i) * shift ** (k - i) for k in range(i, count)) for i in range(count)]


def coefficients():
    return {name: [float(value) for value in reversed(interpolate(*row))] for name, row in POLYNOMIALS.items()}


def in_source():
    text = SOURCE.read_text()
    found = {}
    for name in POLYNOMIALS:
        body = re.search(rf"static const double {name}\[\] = {{(.*?)}};", text, re.S).group(1)
        found[name] = [float.fromhex(value.strip()) for value in body.split(",")]
    return found


def horner(values, t):
    total = numpy.full_like(t, values[0])
    for value in values[1:]:
        total = total * t + value
    return total


def log_exact(u):
    bits = u.view(numpy.uint64)
    exponent = (bits - numpy.uint64(0x3FE6A09E667F3BCD)).view(numpy.int64) >> 52
    m = (bits - (exponent.view(numpy.uint64) << numpy.uint64(52))).view(numpy.float64)
    q = (m - 1) / (m + 1)
    square, total, k = q * q, numpy.full_like(q, 1 / 23), exponent.astype(numpy.float64)
    for i in range(21, 2, -2):
        total = total * square + 1 / i
    return k * float.fromhex("0x1.62e42fefa0000p-1") + (
        2 * q + (2 * q * (square * total) + k * float.fromhex("0x1.cf79abc9e3b3ap-40")))


def in_double(bits, values):
    """The source's scalar form, before it is rounded to float."""
    x = bits.view(numpy.float32).astype(numpy.float64)
    square = x * x
    w = -log_exact(1 - square)
    factor = numpy.where(
        x < 0.5, horner(values["erfinv_small"], square - 0.125),
        numpy.where(w < 3, horner(values["erfinv_middle"], w - 1.64),
                    numpy.where(w < 6.25, horner(values["erfinv_far"], w - 4.625),
                                horner(values["erfinv_tail"], numpy.sqrt(numpy.maximum(w, 0)) - 3.29))))
    return x * factor


def exactly(x, near):
    """erfinv(x) by Newton's method from a number near it; near 1, by the complement."""
    x, t = mpmath.mpf(float(x)), mpmath.mpf(float(near))
    for _ in range(3):
        error = mpmath.erf(t) - x if x < 0.5 else (1 - x) - mpmath.erfc(t)
        t -= error * mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(t * t)
    return t


def nearest():
    """The nearest floats for all inputs, in pieces: the bits of the inputs and of the results."""
    values = in_source()
    for first in range(FIRST, END, 1 << 20):
        bits = numpy.arange(first, first + (1 << 20), dtype=numpy.uint32)
        wide = in_double(bits, values)
        results = wide.astype(numpy.float32)
        distance = numpy.abs((wide.view(numpy.int64) & 0x1FFFFFFF) - 0x10000000)
        for i in numpy.nonzero(distance < 96)[0]:
            truth = exactly(bits[i:i + 1].view(numpy.float32)[0], wide[i])
            assert abs(wide[i] / truth - 1) < mpmath.mpf(2) ** -52
            around = [numpy.nextafter(results[i], numpy.float32(end)) for end in (-9, 9)]
            best = min([results[i], *around], key=lambda value: abs(mpmath.mpf(float(value)) - truth))
            if best != results[i]:
                print(f"for 0x{bits[i]:08x} the double {float(wide[i]).hex()} rounds to the wrong side")
                results[i] = best
        yield bits, results.view(numpy.uint32)


def print_results():
    """Writes PyTorch's results for all inputs to the standard output, as 32-bit words."""
    import torch
    torch.set_num_threads(1)
    for first in range(FIRST, END, 1 << 20):
        inputs = numpy.arange(first, first + (1 << 20), dtype=numpy.uint32).view(numpy.float32)
        sys.stdout.buffer.write(torch.from_numpy(inputs).erfinv().numpy().tobytes())


def compare(command, path):
    """Counts the inputs for which PyTorch's result is not the nearest float; `command` runs Python."""
    inputs, ups, uniform = [], [], 0.0
    with subprocess.Popen([*shlex.split(command), __file__, "--results"], stdout=subprocess.PIPE) as process:
        for bits, results in nearest():
            theirs = numpy.frombuffer(process.stdout.read(results.nbytes), numpy.int32).astype(numpy.int64)
            difference = theirs - results.astype(numpy.int64)
            assert abs(difference).max() <= 1
            where = numpy.nonzero(difference)[0]
            inputs.append(bits[where].astype(numpy.int64))
            ups.append(difference[where] > 0)
            uniform += float(numpy.spacing(bits[where].view(numpy.float32)).astype(numpy.float64).sum())
    inputs, ups = numpy.concatenate(inputs), numpy.concatenate(ups)
    known = numpy.load(EXCEPTIONS)
    same = numpy.array_equal(inputs, known["idx"]) and numpy.array_equal(ups, known["up"])
    print(f"{len(inputs)} of {END - FIRST} floats in [2^-26, 1) differ by a unit, {ups.sum()} of them up; {uniform:.4%} of uniform numbers; "
          f"those of {EXCEPTIONS.name}: {'yes' if same else 'no'}")
    if path:
        numpy.savez_compressed(path, idx=inputs, up=ups)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--with", dest="command", metavar="COMMAND", default=shlex.quote(sys.executable), help="runs Python")
    parser.add_argument("--save", metavar="FILE", help="write the inputs that differ there")
    parser.add_argument("--results", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:
        if coefficients() != in_source():
            raise SystemExit(f"{SOURCE} has other coefficients")
    elif options.prove:
        digest = hashlib.sha256()
        for _, results in nearest():
            digest.update(results.tobytes())
        print(digest.hexdigest())
    elif options.results:
        print_results()
    elif options.torch:
        compare(options.command, options.save)
    else:
        for name, values in coefficients().items():
            print(f"{name}: " + ", ".join(value.hex() for value in values))


if __name__ == "__main__":
    main()
