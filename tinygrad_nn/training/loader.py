"""Datasets, which give samples by index, and loaders, which give batches of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from ..engine.arrays import as_array
from ..engine.trees import aligned, filled
from ..errors import DataError, given
from ..ops.joining import stack
from ..ops.settings import Check, Explained, explained, generator_of, whole_number
from ..tensor.handle import Tensor


class Dataset(Protocol):
    """An object with a length that gives a sample for each index from 0: a sequence, or a class with these methods.

    >>> import tinygrad_nn as tg
    >>> class Squares:
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> [batch[1].tolist() for batch in tg.data.DataLoader(Squares(), batch_size=2)]
    [[0, 1], [4]]
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class TensorDataset:
    """Rows of arrays or Tensors that belong together: sample i is the tuple of the i-th rows.

    Raises DataError unless all have equally many rows.

    >>> import tinygrad_nn as tg
    >>> import numpy as np
    >>> tg.data.TensorDataset(np.eye(2), [7, 8])[1]
    (array([0., 1.]), np.int64(8))
    """

    def __init__(self, *arrays: Any) -> None:
        self.arrays: tuple[Any, ...] = tuple(a if isinstance(a, Tensor) else as_array(a) for a in arrays)
        shapes = [a.shape for a in self.arrays]
        if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
            raise DataError(f"the arrays have shapes {shapes}; pass one or more, with one row for each sample")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        """Return the rows at an index; for a slice or an array of indices, several rows as a batch."""
        return tuple(a[index] for a in self.arrays)


class Subset:
    """The samples of a dataset at some indices, in their order.

    A slice or an array of indices gives a subset again.

    >>> import tinygrad_nn as tg
    >>> part = tg.data.Subset(["a", "b", "c"], [2, 0, 1])
    >>> part[0], list(part[1:])
    ('c', ['a', 'b'])
    """

    def __init__(self, dataset: Dataset, indices: Any) -> None:
        self.dataset: Dataset = dataset
        found = as_array(indices)
        if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
            got = f"dtype {found.dtype} of shape {found.shape}"
            raise DataError(f"indices are whole numbers, got {got}; pass np.flatnonzero(mask)")
        self.indices: np.ndarray = found.astype(np.intp)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        found = self.indices[index]
        return Subset(self.dataset, found) if np.ndim(found) else self.dataset[int(found)]


@explained
def random_split(dataset: Dataset, lengths: Sequence[float], seed: Any = None) -> list[Subset]:
    """Return a dataset's samples, shuffled, in parts of these lengths, or of these fractions that add up to 1.

    Of fractions each part is rounded down, and the samples left over go to the first parts, one each. `seed` is
    a whole number, a generator, or None for fresh entropy. Raises ValueError unless every sample is in one part.

    >>> import tinygrad_nn as tg
    >>> [len(part) for part in tg.data.random_split(range(11), [0.5, 0.25, 0.25], seed=0)]
    [6, 3, 2]
    """
    n, counts = len(dataset), list(lengths)
    if math.isclose(sum(counts), 1):
        counts = [math.floor(n * fraction) for fraction in counts]
        left = n - sum(counts)
        counts = [count + (i < left) for i, count in enumerate(counts)]
    if any(count < 0 or count % 1 for count in counts) or sum(counts) != n:
        raise ValueError(f"{counts} is no split of {n} samples; pass lengths that add up to {n}, or fractions to 1")
    order = np.random.default_rng(seed).permutation(n)
    ends = np.cumsum(counts, dtype=int)
    return [Subset(dataset, order[end - int(count) : end]) for count, end in zip(counts, ends)]


def collate(samples: Sequence[Any]) -> Any:
    """Return samples as one batch: arrays and numbers stacked, strings listed, tuples, lists and dicts by entry.

    Raises DataError for samples that differ in shape, length or keys.

    >>> import tinygrad_nn as tg
    >>> tg.data.collate([(1.5, {"id": 7}), (2.5, {"id": 8})])
    (array([1.5, 2.5]), {'id': array([7, 8])})
    """
    if not len(samples):
        raise DataError("there are no samples to make a batch of; pass one or more")
    first, parts, found = samples[0], tuple(samples), []
    try:
        for parts in zip(*[[*aligned(sample, first)] for sample in samples], strict=True):
            if isinstance(parts[0], Tensor):
                found.append(stack(parts))
            else:
                found.append(list(parts) if isinstance(parts[0], (str, bytes)) else np.stack([*map(as_array, parts)]))
    except (AttributeError, TypeError, ValueError) as error:
        kinds = ", ".join(sorted({given(part) for part in parts})[:3])
        raise DataError(f"no batch can be made of {kinds}: {error}; pad them, or pass collate_fn") from error
    return filled(first, iter(found))


_SETTINGS: dict[str, Check] = {"batch_size": whole_number, "generator": generator_of}


class DataLoader(Explained, settings=_SETTINGS, fixed=["dataset", "collate_fn"]):
    """Batches of a dataset's samples. Each loop over the loader is an epoch, in a new order if it shuffles.

    `seed` is a whole number, a generator, or None for fresh entropy. An epoch's order is drawn from `generator` when
    its loop begins; an equal loader with the same `generator.bit_generator.state` gives the same epoch again.
    `collate_fn`, by default `collate`, makes a batch of a list of samples. Raises ValueError if `batch_size` < 1.

    >>> import tinygrad_nn as tg
    >>> import numpy as np
    >>> dataset = tg.data.TensorDataset(np.arange(5.0), np.arange(5))
    >>> loader = tg.data.DataLoader(dataset, batch_size=2, shuffle=True, seed=0)
    >>> [y.tolist() for x, y in loader]
    [[2, 4], [3, 0], [1]]
    >>> [y.tolist() for x, y in loader]
    [[4, 1], [2, 0], [3]]
    """

    def __init__(
        self, dataset: Dataset, batch_size: int = 1, shuffle: bool = False, *, drop_last: bool = False,
        collate_fn: Callable[[Sequence[Any]], Any] | None = None, seed: Any = None,
    ) -> None:  # fmt: skip
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")) or isinstance(dataset, dict):
            raise TypeError(f"a dataset needs a length, and a sample for each index from 0; got {given(dataset)}")
        self.dataset: Dataset = dataset
        self.batch_size: int = batch_size
        self.shuffle: bool = shuffle
        self.drop_last: bool = drop_last
        self.collate_fn: Callable[[Sequence[Any]], Any] = collate_fn or collate
        self.generator: np.random.Generator = seed

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        n = len(self.dataset)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return map(self.batch, self.order())

    def order(self) -> list[np.ndarray]:
        """Return the indices of the samples in each batch of an epoch, newly drawn if the loader shuffles."""
        n, size = len(self.dataset), self.batch_size
        order = self.generator.permutation(n) if self.shuffle else np.arange(n)
        return [order[i * size : (i + 1) * size] for i in range(len(self))]

    def batch(self, indices: np.ndarray) -> Any:
        """Return the samples at these indices as a batch."""
        dataset: Any = self.dataset
        while isinstance(dataset, Subset):
            dataset, indices = dataset.dataset, dataset.indices[indices]
        if isinstance(dataset, TensorDataset) and self.collate_fn is collate:
            return dataset[indices]  # the result of `collate`, without a loop
        return self.collate_fn([dataset[i] for i in indices.tolist()])
