"""A folder of checkpoints: written whole or not at all, the last few kept, read again to go on bit for bit."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

from ..errors import FileError, warn
from ..ops.settings import whole_number
from .epochs import Training
from .files import read, save, write
from .state import check_options, options_of, restore, state_of

_NAME = re.compile(r"step-\d+\.npz|\.\w+\.tmp")  # the latter are of writers that were killed


class Checkpoints:
    """The checkpoints of a training: one after `every` epochs, and one after `every_steps` steps.

    The last `keep` stay. `best.npz` holds the module's own state after the epoch whose validation cost was lowest.
    """

    def __init__(self, folder: str | os.PathLike[str], every: int | None, every_steps: int | None, keep: int) -> None:
        for name, value in (("every", every), ("every_steps", every_steps), ("keep", keep)):
            if value is not None:
                whole_number(name, value)
        self.folder, self.keep = Path(folder), keep
        self.every, self.every_steps = every or (0 if every_steps else 1), every_steps or 0
        self.newest: tuple[int, int] | None = None
        self.options: dict[str, Any] = {}

    def begin(self, training: Training, resume: bool) -> None:
        """Let the training go on from the newest checkpoint, if asked to; write the first one where there is none.

        Raises FileError where the folder holds checkpoints that are not to be gone on from, or can't be written to.
        """
        self.options, found = options_of(training), self._found()  # ranks meet in the first: none has written yet
        if found and not resume:
            raise FileError(f"{self.folder} holds checkpoints; pass resume=True to go on from them, or another folder")
        for path in reversed(found):
            try:
                arrays, header = read(path)
            except FileError as error:
                warn(f"{error}. The checkpoint before it is used")
                continue
            if not isinstance(header, dict) or not {*header} >= {"options", "state"}:
                raise FileError(f"{path} is no checkpoint, though named like one; name it otherwise")
            check_options(header["options"], self.options)
            restore(training, arrays, header["state"])
            self.newest = (training.updates, training.position)
            return
        if found:
            raise FileError(f"{self.folder} holds no checkpoint that can be read; remove them, or pass another folder")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{self.folder} can't be made: {error}; pass another folder as checkpoint=") from error
        self.write(training)

    def after_step(self, training: Training) -> None:
        """Write a checkpoint if enough steps were made."""
        if self.every_steps and training.updates % self.every_steps == 0:
            self.write(training)

    def after_epoch(self, training: Training) -> None:
        """Write a checkpoint if enough epochs are over, and before it the module's state if it is the best so far."""
        if training.held_out is not None and training.waited == 0 and training.rank == 0:
            save(self.folder / "best.npz", training.steps.module)
        if self.every and len(training.history) % self.every == 0:
            self.write(training)

    def write(self, training: Training) -> None:
        """Write a checkpoint, unless it is there, and remove what is no longer kept. Raises FileError."""
        if self.newest == (training.updates, training.position):
            return
        training.steps.check_parameters(len(training.history) - (training.position == 0))
        arrays, state = state_of(training)
        self.newest = (training.updates, training.position)
        if training.rank:
            return
        write(self.folder / f"step-{training.updates:010}.npz", arrays, {"options": self.options, "state": state})
        for path in [*self.folder.glob(".*.tmp"), *self._found()[: -self.keep]]:
            if _NAME.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _found(self) -> list[Path]:
        """Return the checkpoints that there are, the newest last."""
        return sorted(path for path in self.folder.glob("step-*.npz") if _NAME.fullmatch(path.name))
