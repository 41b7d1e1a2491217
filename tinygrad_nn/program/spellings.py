# ruff: noqa: E501  (a table)
"""Which NumPy spellings of a line ran fastest: written by examples/benchmarks/spellings.py, which says how.

`RANKED[pattern][dtype][width][size]` names the spellings that are faster than the usual one, fastest
first, and last the usual one; `width` is the class of the last axis's length, `bisect_left(WIDTHS,
columns)`, and `size` that of the number of entries, `bisect_left(SIZES, entries)`. `CAVEATS` says which
spellings round in another "order", and which differ on "special" values: nan, infinities, -0.0.
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
    "mask": {
        "float32": (
            ("bits sign shift boolean", "bits sign shift boolean", "boolean", "boolean", "boolean"),
            ("bits sign shift index float_copied boolean", "bits sign shift boolean", "boolean", "boolean", "boolean"),
            ("bits sign shift index float_copied boolean", "bits sign shift boolean", "boolean", "boolean", "boolean"),
        ),
        "float64": (
            ("bits sign shift index float_copied boolean", "bits sign shift boolean", "bits boolean", "boolean", "boolean"),
            ("bits sign shift index float_copied boolean", "bits sign shift float_copied boolean", "boolean", "boolean", "boolean"),
            ("bits sign shift index float_copied boolean", "bits sign shift float_copied boolean", "boolean", "boolean", "boolean"),
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
    "sum_last": {
        "float32": (
            ("dot columns reduce", "dot columns reduce", "columns dot reduce", "columns dot reduce", "columns reduce"),
            ("dot matmul reduce", "dot matmul einsum columns reduce", "dot matmul einsum columns reduce", "matmul dot einsum columns reduce", "dot matmul einsum columns reduce"),
            ("dot reduce", "dot matmul einsum reduce", "dot matmul einsum reduce", "dot matmul einsum reduce", "dot matmul einsum reduce"),
        ),
        "float64": (
            ("dot columns reduce", "dot columns reduce", "columns dot reduce", "columns dot reduce", "columns reduce"),
            ("dot matmul reduce", "dot matmul einsum columns reduce", "dot matmul einsum columns reduce", "matmul dot einsum columns reduce", "dot matmul einsum columns reduce"),
            ("dot reduce", "dot matmul reduce", "dot matmul einsum reduce", "dot matmul einsum reduce", "dot matmul einsum reduce"),
        ),
    },
    "max_last": {
        "float32": (
            ("columns reduce", "columns reduce", "columns reduce", "reduce", "reduce"),
            ("reduce", "columns reduce", "columns reduce", "columns reduce", "columns reduce"),
            ("reduce", "reduce", "reduce", "reduce", "reduce"),
        ),
        "float64": (
            ("columns reduce", "columns reduce", "reduce", "reduce", "reduce"),
            ("reduce", "columns reduce", "columns reduce", "columns reduce", "columns reduce"),
            ("reduce", "reduce", "reduce", "reduce", "reduce"),
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
    "product_back": {
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
    "bias": {
        "float32": (
            ("row", "row", "row", "row", "row"),
            ("row", "tiled row", "tiled row", "tiled row", "tiled row"),
            ("row", "row", "filled row", "tiled row", "row"),
        ),
        "float64": (
            ("row", "row", "row", "row", "row"),
            ("row", "tiled row", "tiled row", "tiled row", "tiled row"),
            ("row", "row", "filled row", "row", "row"),
        ),
    },
    "scaled": {
        "float32": (
            ("full array number", "array full number", "array number", "number", "number"),
            ("full array number", "array full number", "array number", "number", "number"),
            ("full array number", "array full number", "array number", "number", "number"),
        ),
        "float64": (
            ("array full number", "array number", "array number", "number", "number"),
            ("array full number", "array number", "array number", "number", "number"),
            ("array full number", "array number", "array number", "number", "array number"),
        ),
    },
    "mean": {
        "float32": (
            ("dot reduce", "dot reduce", "dot einsum reduce", "einsum dot reduce", "einsum dot reduce"),
            ("dot reduce", "dot reduce", "dot einsum reduce", "einsum dot reduce", "einsum dot reduce"),
            ("dot reduce", "dot reduce", "dot einsum reduce", "einsum dot reduce", "einsum dot reduce"),
        ),
        "float64": (
            ("dot reduce", "dot reduce", "dot einsum reduce", "einsum dot reduce", "einsum dot reduce"),
            ("dot reduce", "dot reduce", "dot einsum reduce", "einsum reduce", "dot einsum reduce"),
            ("dot reduce", "dot reduce", "dot einsum reduce", "einsum reduce", "dot einsum reduce"),
        ),
    },
    "square": {
        "float32": (
            ("square multiply power", "square multiply power", "square multiply power", "multiply square power", "multiply square power"),
            ("square multiply power", "square multiply power", "square multiply power", "multiply square power", "multiply square power"),
            ("square multiply power", "square multiply power", "square multiply power", "multiply square power", "multiply square power"),
        ),
        "float64": (
            ("square multiply power", "square multiply power", "square multiply power", "multiply square power", "multiply square power"),
            ("square multiply power", "square multiply power", "square multiply power", "square multiply power", "multiply square power"),
            ("square multiply power", "square multiply power", "square multiply power", "square multiply power", "multiply square power"),
        ),
    },
    "where": {
        "float32": (
            ("putmask where_new copyto", "putmask where_new where copyto", "where_new where putmask copyto", "where_new where putmask copyto", "where_new putmask where copyto"),
            ("putmask where_new copyto", "putmask where_new where copyto", "where_new where putmask copyto", "where_new where putmask copyto", "where_new putmask where copyto"),
            ("putmask where_new copyto", "putmask where_new where copyto", "where_new where putmask copyto", "where_new where putmask copyto", "where_new putmask where copyto"),
        ),
        "float64": (
            ("putmask where_new copyto", "where_new where putmask copyto", "where_new where putmask copyto", "where_new where putmask copyto", "where_new where putmask copyto"),
            ("putmask where_new copyto", "where_new where putmask copyto", "where_new where putmask copyto", "where_new where putmask copyto", "where_new where putmask copyto"),
            ("putmask where_new copyto", "where_new where putmask copyto", "where_new where putmask copyto", "where_new where putmask copyto", "where_new where putmask copyto"),
        ),
    },
    "filled": {
        "float32": (
            ("fill slice copyto", "fill slice copyto", "fill slice copyto", "copyto", "copyto"),
            ("fill slice copyto", "fill slice copyto", "fill slice copyto", "copyto", "copyto"),
            ("fill slice copyto", "fill slice copyto", "fill slice copyto", "copyto", "copyto"),
        ),
        "float64": (
            ("fill slice copyto", "fill slice copyto", "fill copyto", "copyto", "copyto"),
            ("fill slice copyto", "fill slice copyto", "fill slice copyto", "copyto", "copyto"),
            ("fill slice copyto", "fill slice copyto", "fill slice copyto", "copyto", "copyto"),
        ),
    },
    "finite": {
        "float32": (
            ("dot all", "dot all", "dot all", "all", "all"),
            ("dot all", "dot all", "dot all", "all", "all"),
            ("dot all", "dot all", "dot all", "all", "all"),
        ),
        "float64": (
            ("dot all", "dot all", "dot all", "dot all", "dot all"),
            ("dot all", "dot all", "dot all", "dot all", "dot all"),
            ("dot all", "dot all", "dot all", "dot all", "dot all"),
        ),
    },
}

CAVEATS = {
    ("mask", "bits"): "special",
    ("mask", "shift"): "special",
    ("mask", "copyto"): "special",
    ("mask", "sign"): "special",
    ("mask", "index"): "special",
    ("sum_rows", "reduce"): "order",
    ("sum_rows", "einsum"): "order",
    ("sum_last", "matmul"): "order",
    ("sum_last", "dot"): "order",
    ("sum_last", "einsum"): "order",
    ("sum_last", "columns"): "order",
    ("mean", "dot"): "order",
    ("mean", "einsum"): "order",
}
