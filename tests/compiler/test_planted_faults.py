"""Faults planted in the compiler are found: by hostile functions, or by a test of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from compiler import test_contract_invisible as invisible
from compiler import test_contract_modules as modules
from compiler import test_contract_signatures as signatures
from compiler.contract_model import verdict_on
from compiler.planted_faults import BY_HOSTILE_FUNCTIONS, BY_TESTS
from compiler.run import test_interrupts as interrupts
from compiler.run import test_threads as threads
from compiler.test_hostile import drawn


@pytest.mark.slow
@pytest.mark.parametrize("fault", BY_HOSTILE_FUNCTIONS)
def test_hostile_functions_find_it(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BY_HOSTILE_FUNCTIONS[fault](monkeypatch)
    assert any(verdict_on(found) is not None for found in drawn())


TESTS: dict[str, Callable[..., Any]] = {
    "a step without a lock": lambda: threads.test_no_step_is_lost(200),
    "a lock that a fork takes along": interrupts.test_forks_while_a_thread_replays,
    "a step that is put in place in parts": interrupts.test_interrupts_around_a_commit,
    "a draw that is not rewound": modules.test_a_draw_is_taken_back_where_a_branch_goes_the_other_way,
    "a draw that is always rewound": interrupts.test_interrupts_around_a_commit,
    "a trace that is not undone": lambda: interrupts.test_interrupts_in_a_trace(True, 32),
    "memory that two arrays share": invisible.test_a_write_in_place_into_memory_that_another_array_shares_is_refused,
    "the first program is dropped": signatures.test_the_program_that_was_used_last_is_kept_longest,
    "a signature without flags": signatures.test_the_flags_of_the_caller,
    "a signature without hooks": signatures.test_tensors_by_their_hooks,
    "a signature without requires_grad": signatures.test_tensors_by_whether_they_require_grad,
}


def test_every_fault_has_its_test() -> None:
    assert TESTS.keys() == BY_TESTS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("fault", BY_TESTS)
def test_a_test_finds_it(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BY_TESTS[fault](monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        TESTS[fault]()
