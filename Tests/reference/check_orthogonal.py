"""Compares the orthogonal factor with PyTorch's for thousands of seeded matrices, ill-conditioned ones included.

    python check_orthogonal.py LIBRARY [MATRICES]

LIBRARY is Sources/CLinearAlgebra as a shared library. Each element has to be within u · (32 + 4 · cond) of PyTorch's,
the tolerance of Tests/GoldenVectors. If cond is so large that this bound is meaningless, QᵀQ still has to be the
identity and QᵀA upper triangular. The second kernel set of this processor and three threads must give the same bits.
"""

import ctypes
import sys

import torch

DTYPES = (torch.float32, torch.float64)
KINDS = ("normals", "graded", "nearly dependent", "rows of all sizes")


class Library:
    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        self.c.cla_factor_begin.restype = pointer
        self.c.cla_factor_begin.argtypes = [ctypes.c_char_p, ctypes.c_int, pointer, size, size, ctypes.c_double]
        self.c.cla_factor_step.restype = ctypes.c_bool
        self.c.cla_factor_step.argtypes = self.c.cla_factor_end.argtypes = [pointer]
        self.c.cla_set_thread_limit.argtypes = [size]

    def factor(self, a, kernels, threads):
        q = a.clone(memory_format=torch.contiguous_format)
        self.c.cla_set_thread_limit(threads)
        state = self.c.cla_factor_begin(kernels.encode(), DTYPES.index(q.dtype), q.data_ptr(), *q.shape, 1.0)
        while self.c.cla_factor_step(state):
            pass
        self.c.cla_factor_end(state)
        return q


def of_pytorch(a):
    """The factor as torch.nn.init.orthogonal_ computes it."""
    q, r = torch.linalg.qr(a if a.shape[0] >= a.shape[1] else a.T)
    q *= torch.diag(r).sign()
    return q if a.shape[0] >= a.shape[1] else q.T


def matrix(generator, number, dtype):
    def random(low, high):
        return int(torch.randint(low, high + 1, (1,), generator=generator))

    largest = 700 if number % 50 == 0 else 150
    rows, columns = random(1, largest), random(1, largest)
    a = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    kind = KINDS[number // len(DTYPES) % len(KINDS)]
    digits = torch.rand(1, generator=generator, dtype=torch.float64) * (6 if dtype == torch.float32 else 14)
    if kind == "graded":
        a *= torch.logspace(0, -float(digits), columns, dtype=torch.float64)
    elif kind == "nearly dependent":
        small = 10 ** -float(digits)
        first = a[:, :1] if rows >= columns else a[:1]
        a = first + small * a
    elif kind == "rows of all sizes":
        a *= torch.logspace(0, -float(digits), rows, dtype=torch.float64)[torch.randperm(rows, generator=generator), None]
    return kind, a.to(dtype)


def main():
    library = Library(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(2013)
    kernels = ("avx512", "avx2") if "avx512f" in open("/proc/cpuinfo").read() else ("avx2", "portable")
    worst = {}
    for number in range(count):
        dtype = DTYPES[number % len(DTYPES)]
        kind, a = matrix(generator, number, dtype)
        q = library.factor(a, kernels[0], 1)
        what = f"matrix {number} ({kind}), {a.shape[0]} × {a.shape[1]}, {dtype}"
        if number % 10 == 0:
            assert torch.equal(q, library.factor(a, kernels[1], 3)), f"{what}: other bits with {kernels[1]} and three threads"
        u = torch.finfo(dtype).eps / 2
        tall, exact = (q.double(), a.double()) if a.shape[0] >= a.shape[1] else (q.double().T, a.double().T)
        cond = float(torch.linalg.cond(exact))
        size = max(exact.shape)
        found = {
            "of the tolerance": float((q - of_pytorch(a)).abs().max()) / (u * (32 + 4 * cond)),
            "|QᵀQ − 1|, of 4 u √m": float((tall.T @ tall - torch.eye(tall.shape[1], dtype=torch.float64)).abs().max()) / (4 * u * size**0.5),
            "below QᵀA's diagonal, of 16 u √m |A|": float((tall.T @ exact).tril(-1).abs().max()) / (16 * u * size**0.5 * float(exact.norm(dim=0).max())),
        }  # fmt: skip
        for name, value in found.items():
            worst[name] = max(worst.get(name, 0), value)
            assert value <= 1, f"{what}: {value:.2f} {name}"
    print(f"{count} matrices; at worst " + ", ".join(f"{value:.2f} {name}" for name, value in worst.items()))


if __name__ == "__main__":
    main()
