"""What of NumPy and SciPy is not recorded: the reason, and the nearest name that is."""

from __future__ import annotations

MISSING = {
    "it needs a derivative of complex numbers": dict.fromkeys(
        ("fft", "fft2", "fftn", "hfft", "ifft", "ifft2", "ifftn", "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2",
         "rfftn"), "convolve",
    ) | {"angle": "arctan2", "sort_complex": "sort", "eig": "linalg.eigh", "eigvals": "linalg.eigvalsh"},
    "its roots are complex": {"roots": "polyval"},
    "it needs a derivative by its weights": dict.fromkeys(("histogram", "histogram2d", "histogramdd"), "bincount"),
    "the shape of its result depends on values": dict.fromkeys(
        ("intersect1d", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts", "unique_inverse",
         "unique_values"), "getitem",
    ),
    "its derivative is a difference that rounding makes": {"nextafter": "positive"},
}  # fmt: skip
SCIPY_MISSING = {
    "it needs a derivative by its order": {"jv": "i0", "yv": "i0", "iv": "i0", "kv": "i0"},
    "it needs a derivative by its first parameter": dict.fromkeys(("gammainc", "gammaincc"), "gammaln"),
}


def reason(name: str) -> tuple[str, str] | None:
    """Return why the function of this name is not recorded, and the nearest that is; None where no table says so."""
    tables = MISSING | SCIPY_MISSING
    return next(((why, names[name]) for why, names in tables.items() if name in names), None)
