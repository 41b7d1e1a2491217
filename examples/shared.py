"""What several examples share: their options, scikit-learn's digits, and a picture where matplotlib is installed."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np


def options(doc: str, picture: str, quick: str) -> argparse.Namespace:
    """Return --quick and --output; --help shows `doc`. If --output's folder is missing, the program ends at once."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default=picture, help="write the picture to this file (%(default)s)")
    parser.add_argument("--quick", action="store_true", help=quick)
    found = parser.parse_args()
    if not pathlib.Path(found.output).absolute().parent.is_dir():
        parser.error(f"--output {found.output} lies in a folder that does not exist; make it first")
    return found


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 1,797 handwritten digits as pixels from 0 to 1, (1797, 64), and their labels, (1797,)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SystemExit("the digits come with scikit-learn: python -m pip install scikit-learn") from None
    pixels, labels = load_digits(return_X_y=True)
    return (pixels / 16).astype(np.float32), labels


def save(draw: Callable[..., Any], *args: Any, path: str) -> None:
    """Write the figure that `draw(*args)` returns, in the library's style; without matplotlib say so and go on."""
    try:
        import matplotlib.style
    except ImportError:
        print("no picture: python -m pip install matplotlib")
        return
    with matplotlib.style.context("tinygrad_nn.training.pictures"):
        draw(*args).savefig(path)
    print(f"wrote {path}")
