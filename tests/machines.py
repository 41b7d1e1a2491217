"""Machines that this one is not: their floating-point flags, by a library in C that is loaded before all others."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

# As WebAssembly: no flag is ever set.
MUTE = "int fetestexcept(int kinds) { return 0; }"

# As some libraries of matrix products: each product sets the invalid flag, whatever it computes.
LOUD = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fenv.h>
#include <stdint.h>

typedef int64_t n;

static void *known(const char *name) { return dlsym(dlopen(LIBRARY, RTLD_LAZY), name); }

#define PRODUCTS(T, GEMM, GEMV) \
    void GEMM(int o, int s, int t, n p, n q, n r, T x, T *a, n i, T *b, n j, T y, T *c, n k) { \
        ((void (*)(int, int, int, n, n, n, T, T *, n, T *, n, T, T *, n))known(#GEMM))( \
            o, s, t, p, q, r, x, a, i, b, j, y, c, k); \
        feraiseexcept(FE_INVALID); \
    } \
    void GEMV(int o, int t, n p, n q, T x, T *a, n i, T *b, n j, T y, T *c, n k) { \
        ((void (*)(int, int, n, n, T, T *, n, T *, n, T, T *, n))known(#GEMV))(o, t, p, q, x, a, i, b, j, y, c, k); \
        feraiseexcept(FE_INVALID); \
    }

PRODUCTS(float, scipy_cblas_sgemm64_, scipy_cblas_sgemv64_)
PRODUCTS(double, scipy_cblas_dgemm64_, scipy_cblas_dgemv64_)
"""


def numpys_products() -> pathlib.Path | None:
    """Return the library of matrix products that lies beside NumPy in a wheel for Linux."""
    folder = pathlib.Path(np.__file__).parent.parent / "numpy.libs"
    return next(iter(sorted(folder.glob("libscipy_openblas64_*"))), None)


def machine(source: str, folder: pathlib.Path) -> dict[str, str]:
    """Return the environment in which Python runs on such a machine; without a compiler the test is skipped."""
    compiler, products = shutil.which("cc"), numpys_products()
    if not sys.platform.startswith("linux") or compiler is None or products is None:
        pytest.skip("needs a C compiler, and NumPy's wheel for Linux")
    code, library = folder / "flags.c", folder / "flags.so"
    code.write_text(source, encoding="utf-8")
    subprocess.run(
        [compiler, "-shared", "-fPIC", f'-DLIBRARY="{products}"', str(code), "-o", str(library), "-lm", "-ldl"],
        check=True,
    )
    return {**os.environ, "LD_PRELOAD": str(library)}
