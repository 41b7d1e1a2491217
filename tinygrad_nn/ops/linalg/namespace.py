"""The recorded functions of numpy.linalg, under its names: `tg.linalg.norm`, `tg.linalg.solve`, ..."""

import numpy.linalg

from ... import ops

__all__ = list(ops.functions(numpy.linalg))
globals().update(ops.functions(numpy.linalg))
