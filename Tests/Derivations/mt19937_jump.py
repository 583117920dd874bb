#!/usr/bin/env python3
"""Derives the characteristic polynomial of MT19937 and writes Sources/CTorchKernels/mt19937_polynomial.h.

    python3 Tests/Derivations/mt19937_jump.py           print the header
    python3 Tests/Derivations/mt19937_jump.py --check   compare the committed header, exit 1 if it differs

Two independent ways must agree:

* Berlekamp-Massey on one bit of 2 * 19937 consecutive outputs. The state has 19937 bits and the polynomial is
  irreducible, so the minimal polynomial of any bit that is not always zero is the characteristic one.
* The closed form of Matsumoto and Nishimura (ACM TOMACS 8, 1998, appendix A): with B = t^623 + t^396 and a = 0x9908b0df,
  t B^32 + a_0 t B^31 + a_1 t B^30 + ... + a_30 t B + a_31.

A polynomial over GF(2) is a Python integer, bit i the coefficient of t^i.
"""

import pathlib
import sys

N, M, TWIST = 624, 397, 0x9908B0DF
DEGREE = N * 32 - 31
HEADER = pathlib.Path(__file__).resolve().parents[2] / "Sources/CTorchKernels/mt19937_polynomial.h"


def state_words(seed, count):
    """Untempered words of the generator; tempering is linear and per word, so it does not change the recurrence."""
    words = [seed]
    for j in range(1, N):
        words.append((1812433253 * (words[-1] ^ words[-1] >> 30) + j) & 0xFFFFFFFF)
    for k in range(count):
        y = words[k] & 0x80000000 | words[k + 1] & 0x7FFFFFFF
        words.append(words[k + M] ^ y >> 1 ^ (TWIST if y & 1 else 0))
    return words[N:]


def berlekamp_massey(bits):
    """The shortest recurrence that gives `bits`, as the polynomial whose reciprocal is the connection polynomial."""
    connection, previous, length, gap, window = 1, 1, 0, 1, 0
    for n, bit in enumerate(bits):
        window = window << 1 | bit  # bit i of the window is bits[n - i]
        if (connection & window).bit_count() & 1:
            updated = connection ^ previous << gap
            if 2 * length <= n:
                length, previous, gap = n + 1 - length, connection, 0
            connection = updated
        gap += 1
        window &= (1 << (DEGREE + 1)) - 1
    return sum(1 << (length - i) for i in range(length + 1) if connection >> i & 1)


def multiply(a, b):
    product = 0
    while b:
        low = b & -b
        product ^= a * low
        b ^= low
    return product


def closed_form():
    b = 1 << (N - 1) | 1 << (M - 1)
    powers = [1]
    for _ in range(32):
        powers.append(multiply(powers[-1], b))
    total = powers[32] << 1
    for i in range(31):
        if TWIST >> i & 1:
            total ^= powers[31 - i] << 1
    return total ^ (TWIST >> 31 & 1)


def header(polynomial):
    exponents = [e for e in range(polynomial.bit_length() - 1, -1, -1) if polynomial >> e & 1]
    lower = exponents[1:]
    lines = ["    " + " ".join(f"{e}," for e in lower[i : i + 16]) for i in range(0, len(lower), 16)]
    return "\n".join(
        [
            "// The characteristic polynomial of MT19937 over GF(2). Made by Tests/Derivations/mt19937_jump.py; do not edit.",
            "",
            "#ifndef CTK_MT19937_POLYNOMIAL_H",
            "#define CTK_MT19937_POLYNOMIAL_H",
            "",
            "#include <stdint.h>",
            "",
            "enum {",
            f"    CTK_DEGREE = {exponents[0]},",
            f"    CTK_TERMS = {len(lower)},",
            "};",
            "",
            "/// Exponents of the terms below t^CTK_DEGREE, descending.",
            "static const uint16_t ctk_exponents[CTK_TERMS] = {",
            *lines,
            "};",
            "",
            "#endif",
            "",
        ]
    )


def main():
    polynomial = berlekamp_massey([word & 1 for word in state_words(5489, 2 * DEGREE + 64)])
    if polynomial.bit_length() - 1 != DEGREE or polynomial != closed_form():
        sys.exit("the two derivations disagree")
    text = header(polynomial)
    if sys.argv[1:] == ["--check"]:
        if HEADER.read_text() != text:
            sys.exit(f"{HEADER} differs from the derivation")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
