# ruff: noqa: E501  (a table)
"""Which NumPy spellings of a line ran fastest: written by examples/benchmarks/spellings.py, which says how.

`RANKED[pattern][dtype][width][size]` names the spellings that are faster than the usual one, fastest
first, and last the usual one; `width` is the class of the last axis's length, `bisect_left(WIDTHS,
columns)`, and `size` that of the number of entries, `bisect_left(SIZES, entries)`.
"""

SIZES = (1000, 10000, 100000, 1000000)
WIDTHS = (1, 16)

RANKED: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "relu": {
        "float32": (
            ("zeros scalar", "zeros scalar", "zeros tiled scalar", "zeros tiled scalar", "zeros tiled scalar"),
            ("zeros scalar", "zeros tiled scalar", "zeros tiled scalar", "zeros tiled scalar", "tiled zeros scalar"),
            ("zeros scalar", "zeros tiled row scalar", "zeros tiled row scalar", "zeros tiled row scalar", "tiled zeros row scalar"),
        ),
        "float64": (
            ("zeros scalar", "zeros scalar", "zeros scalar", "zeros scalar", "scalar"),
            ("zeros scalar", "zeros scalar", "zeros scalar", "zeros scalar", "scalar"),
            ("zeros scalar", "zeros scalar", "zeros scalar", "zeros scalar", "scalar"),
        ),
    },
    "sum_rows": {
        "float32": (
            ("dot matmul", "dot matmul", "dot matmul", "einsum matmul", "einsum matmul"),
            ("dot matmul", "dot matmul", "dot matmul", "matmul", "dot matmul"),
            ("dot matmul", "dot matmul", "dot matmul", "matmul", "matmul"),
        ),
        "float64": (
            ("dot matmul", "dot matmul", "dot matmul", "matmul", "dot matmul"),
            ("dot matmul", "dot matmul", "dot matmul", "matmul", "dot matmul"),
            ("dot matmul", "dot matmul", "dot matmul", "matmul", "dot matmul"),
        ),
    },
    "product": {
        "float32": (
            ("dot matmul", "dot matmul", "dot matmul", "dot matmul", "dot matmul"),
            ("dot matmul", "dot matmul", "matmul", "matmul", "matmul"),
            ("dot matmul", "dot matmul", "matmul", "matmul", "matmul"),
        ),
        "float64": (
            ("dot matmul", "dot matmul", "dot matmul", "dot matmul", "dot matmul"),
            ("dot matmul", "dot matmul", "matmul", "matmul", "matmul"),
            ("dot matmul", "matmul", "matmul", "matmul", "matmul"),
        ),
    },
    "product_weights": {
        "float32": (
            ("dot matmul", "dot matmul", "dot matmul", "matmul", "matmul"),
            ("dot matmul", "dot matmul", "matmul", "matmul", "matmul"),
            ("dot matmul", "dot matmul", "matmul", "matmul", "matmul"),
        ),
        "float64": (
            ("dot matmul", "dot matmul", "dot matmul", "matmul", "matmul"),
            ("dot matmul", "dot matmul", "matmul", "matmul", "matmul"),
            ("dot matmul", "matmul", "matmul", "matmul", "matmul"),
        ),
    },
    "product_column": {
        "float32": (
            ("dot dot_vector matmul", "dot dot_vector matmul", "dot dot_vector matmul", "dot_vector dot matmul", "dot dot_vector matmul"),
            ("dot dot_vector matmul", "dot dot_vector matmul", "matmul", "matmul", "matmul"),
            ("dot dot_vector matmul", "dot dot_vector matmul", "dot dot_vector matmul", "matmul", "matmul"),
        ),
        "float64": (
            ("dot dot_vector matmul", "dot dot_vector matmul", "dot dot_vector matmul", "dot dot_vector matmul", "dot_vector dot matmul"),
            ("dot dot_vector matmul", "dot dot_vector matmul", "dot matmul", "matmul", "matmul"),
            ("dot dot_vector matmul", "dot dot_vector matmul", "dot dot_vector matmul", "matmul", "matmul"),
        ),
    },
    "product_outer": {
        "float32": (
            ("dot multiply matmul", "dot multiply matmul", "multiply dot matmul", "multiply dot matmul", "multiply dot matmul"),
            ("dot matmul", "dot multiply matmul", "dot multiply matmul", "dot multiply matmul", "dot multiply matmul"),
            ("dot multiply matmul", "dot multiply matmul", "dot multiply matmul", "dot multiply matmul", "dot multiply matmul"),
        ),
        "float64": (
            ("dot multiply matmul", "dot multiply matmul", "multiply dot matmul", "multiply dot matmul", "multiply dot matmul"),
            ("dot matmul", "dot matmul", "dot matmul", "dot matmul", "dot matmul"),
            ("dot matmul", "dot multiply matmul", "dot multiply matmul", "dot multiply matmul", "multiply dot matmul"),
        ),
    },
}
