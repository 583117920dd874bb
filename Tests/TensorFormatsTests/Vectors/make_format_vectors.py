"""Makes the reference bytes beside this file with NumPy and the safetensors library.

    pip install numpy safetensors
    python make_format_vectors.py

Made with NumPy 2.4.6 and safetensors 0.8.0.
"""

import base64
import hashlib
import io
import json
import pathlib
import random
import struct
from fractions import Fraction

import numpy as np
import safetensors

HERE = pathlib.Path(__file__).parent


def text(data):
    return base64.b64encode(data).decode()


def save(name, value):
    (HERE / name).write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


# --- npy

NUMPY_TYPES = {"float32": "<f4", "float64": "<f8", "float16": "<f2", "int64": "<i8"}


def npy():
    shapes = [(), (1,), (5,), (0,), (2, 3), (2, 0, 3), (64, 3, 7, 7), (123456789, 10), (2**62,), (1,) * 32, (2**20,) * 3,
              (10**9, 1, 10**8)]
    headers = []
    for dtype, code in NUMPY_TYPES.items():
        for shape in shapes:
            out = io.BytesIO()
            np.lib.format.write_array_header_1_0(out, {"descr": code, "fortran_order": False, "shape": shape})
            headers.append({"dtype": dtype, "shape": shape, "header": text(out.getvalue())})
    files = []
    for dtype, code in NUMPY_TYPES.items():
        for shape in [(), (5,), (0, 4), (2, 3, 4)]:
            array = np.arange(np.prod(shape, dtype=int), dtype=code).reshape(shape)
            out = io.BytesIO()
            np.save(out, array)
            files.append({"dtype": dtype, "shape": shape, "data": text(array.tobytes()), "file": text(out.getvalue())})
    save("npy.json", {"headers": headers, "files": files})


# --- safetensors

ITEM_SIZES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int64": 8}


def reference_file(tensors, metadata):
    """Files of the library, with the tensors in the order in which it put them."""
    buffers, specs = [], {}
    for name, dtype, shape in tensors:
        data = random.randbytes(int(np.prod(shape, dtype=int)) * ITEM_SIZES[dtype])
        buffer = np.frombuffer(data, np.uint8)
        buffers.append(buffer)
        specs[name] = (safetensors.TensorSpec(
            dtype=dtype, shape=list(shape), data_ptr=buffer.ctypes.data, data_len=len(data)), dtype, shape, data)
    file = bytes(safetensors.serialize({name: spec[0] for name, spec in specs.items()}, metadata))
    length = struct.unpack("<Q", file[:8])[0]
    order = [name for name in json.loads(file[8 : 8 + length]) if name != "__metadata__"]
    sizes = [ITEM_SIZES[specs[name][1]] for name in order]
    assert sizes == sorted(sizes, reverse=True)
    return {
        "tensors": [
            {"name": name, "dtype": specs[name][1], "shape": specs[name][2], "data": text(specs[name][3])}
            for name in order
        ],
        "metadata": metadata or {},
        "file": text(file),
    }


def safetensors_files():
    # No more than one metadata entry each: the library writes several in the order of a hash table.
    escapes = "".join(map(chr, range(0x20))) + '"\\/\x7f\x80é\u2028\ufeff\U0001f600'
    cases = [
        ([("w", "float32", (2, 3))], None),
        ([], None),
        ([], {"only": "metadata"}),
        ([(f"t.{dtype}.{index}", dtype, shape)
          for dtype in ITEM_SIZES
          for index, shape in enumerate([(), (1,), (0,), (3, 0, 2), (3, 5)])], {"é": "\U0001f600"}),
        ([(escapes, "float16", (3,)), ("", "float64", (1,)), ("e\u0301", "int64", ()), ("\u00e9", "int64", ())],
         {escapes: escapes}),
    ]
    # Every length of padding.
    cases += [([("n" * length, "float32", (1,))], None) for length in range(1, 9)]
    save("safetensors.json", [reference_file(*case) for case in cases])


# --- numbers

def notation(digits, exponent):
    """Python's repr, for digits without trailing zeros and the power of ten of the first one."""
    if -4 <= exponent < 16:
        if exponent < 0:
            return "0." + "0" * (-exponent - 1) + digits
        digits = digits.ljust(exponent + 1, "0")
        return digits[: exponent + 1] + "." + (digits[exponent + 1 :] or "0")
    point = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{point}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def special(value):
    if np.isnan(value):
        return '"nan"'
    if np.isinf(value):
        return '"-inf"' if value < 0 else '"inf"'
    if value == 0:
        return "-0.0" if np.signbit(value) else "0.0"
    return None


def numpy_text(value):
    """Shortest digits as NumPy finds them (Dragon4), in the type of the value."""
    fixed = special(value)
    if fixed:
        return fixed
    mantissa, exponent = np.format_float_scientific(abs(value), unique=True, trim="-").split("e")
    return ("-" if value < 0 else "") + notation(mantissa.replace(".", ""), int(exponent))


def python_text(value):
    return special(value) or repr(float(value))


def bfloat16_text(bits):
    """The shortest decimal that rounds to a bfloat16, by search in exact fractions."""
    value = float(np.array([bits << 16], np.uint32).view(np.float32)[0])
    fixed = special(value)
    if fixed:
        return fixed
    exponent, fraction = bits >> 7 & 0xFF, bits & 0x7F
    significand, power = (fraction | 0x80, exponent - 134) if exponent else (fraction, -133)
    unit = Fraction(2) ** power
    exact = significand * unit
    below = unit / 4 if fraction == 0 and exponent > 1 else unit / 2
    low, high, closed = exact - below, exact + unit / 2, significand % 2 == 0
    scale = 0
    while Fraction(10) ** (scale + 1) <= exact:
        scale += 1
    while Fraction(10) ** scale > exact:
        scale -= 1
    for count in range(1, 20):
        step = Fraction(10) ** (scale - count + 1)
        candidates = [n * step for n in (exact // step, exact // step + 1)]
        inside = [c for c in candidates if low < c < high or closed and c in (low, high)]
        if inside:
            best = min(inside, key=lambda c: (abs(c - exact), (c / step) % 2))
            digits = str(best / step)
            first = scale - count + len(digits)
            return ("-" if value < 0 else "") + notation(digits.rstrip("0"), first)


def patterns(width, fraction_bits):
    """Bit patterns around whatever could go wrong, and many others."""
    sign = 1 << (width - 1)
    top = (1 << (width - 1 - fraction_bits)) - 1
    found = {0, 1, 2, 3, 5, 7, 9, 10}
    for exponent in range(0, top + 1, max(1, top // 300)):
        for fraction in (0, 1, (1 << fraction_bits) - 1, 1 << (fraction_bits - 1)):
            found.add(exponent << fraction_bits | fraction)
    found |= {random.randrange(sign) for _ in range(400)}
    kind = {16: np.float16, 32: np.float32, 64: np.float64}[width]
    if (width, fraction_bits) != (16, 7):
        for power in range(-8, 20):
            for decimal in (1, 1.5, 9.999, 9.9999999, 1.2345678, 1.0000001):
                with np.errstate(over="ignore"):
                    number = np.array([decimal * 10.0**power]).astype(kind)
                found.add(int(number.view(f"u{width // 8}")[0]))
    return sorted(found | {bits | sign for bits in list(found)[::7]})


def numbers():
    result = {}
    for dtype, kind, width, fraction_bits, form in [
        ("float64", np.float64, 64, 52, python_text),
        ("float32", np.float32, 32, 23, numpy_text),
        ("float16", np.float16, 16, 10, numpy_text),
    ]:
        bits = patterns(width, fraction_bits)
        values = np.array(bits, f"u{width // 8}").view(kind)
        result[dtype] = [[str(b), form(v)] for b, v in zip(bits, values)]
    result["bfloat16"] = [[str(b), bfloat16_text(b)] for b in patterns(16, 7)]
    save("numbers.json", {dtype: [" ".join(pair) for pair in pairs] for dtype, pairs in result.items()})


def sweeps():
    """SHA-256 of very many numbers' texts, a line feed behind each."""
    def digest(texts):
        hasher = hashlib.sha256()
        for line in texts:
            hasher.update(line.encode() + b"\n")
        return hasher.hexdigest()

    every16 = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    every32 = np.arange(0, 1 << 32, 9973, dtype=np.uint64).astype(np.uint32)
    some64 = np.arange(200_000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    save("sweeps.json", {
        "float16": digest(map(numpy_text, every16.view(np.float16))),
        "bfloat16": digest(map(bfloat16_text, range(1 << 16))),
        "float32, every 9973rd": digest(map(numpy_text, every32.view(np.float32))),
        "float64, multiples of 0x9e3779b97f4a7c15": digest(map(python_text, some64.view(np.float64))),
    })


# --- nested lists

def nested():
    shapes = [(), (1,), (3,), (0,), (2, 3), (1, 1, 1), (2, 0), (0, 3), (2, 0, 3), (3, 2, 0), (0, 0), (2, 3, 4), (5, 1),
              (1, 5), (2, 2, 2, 2, 2), (1,) * 64]
    save("nested.json", [
        {"shape": shape,
         "json": json.dumps((np.arange(np.prod(shape, dtype=int)) * 0.25 - 2).reshape(shape).tolist(),
                            separators=(",", ":"))}
        for shape in shapes
    ])


# --- summary

def summaries():
    """Pairs around a mean, whose sums are exact in any order, so that results are equal to the bit."""
    result = []
    for dtype, code, count, spread, divisor, centre in [
        ("float32", "<f4", 1 << 16, 1000, 8, 0.125),
        ("float64", "<f8", 1 << 14, 1000, 8, 2.0**30),
        ("float16", "<f2", 1 << 10, 100, 1, 3),
        ("bfloat16", None, 1 << 10, 50, 1, 2),
        ("int64", "<i8", 1 << 13, 10, 1, 1),
    ]:
        hashed = np.arange(count // 2, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32) >> np.uint64(16)
        distance = (hashed % np.uint64(spread)).astype(np.float64) / divisor
        wide = np.stack([centre + distance, centre - distance], axis=1).reshape(-1)
        if dtype == "bfloat16":
            array = (wide.astype("<f4").view("<u4") >> 16).astype("<u2")
            stored = (array.astype("<u4") << 16).view("<f4")
        else:
            array = stored = wide.astype(code)
        assert (stored.astype(np.float64) == wide).all()
        counts, edges = np.histogram(wide, bins=32)
        result.append({
            "dtype": dtype,
            "count": count,
            "spread": spread,
            "divisor": divisor,
            "centre": centre,
            "mean": wide.mean(),
            "std": wide.std(ddof=1),
            "min": wide.min(),
            "max": wide.max(),
            "zeros": int((wide == 0).sum()),
            "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
            "edges": edges.tolist(),
            "counts": counts.tolist(),
        })
    save("summaries.json", result)


if __name__ == "__main__":
    random.seed(1)
    npy()
    safetensors_files()
    numbers()
    sweeps()
    nested()
    summaries()
