"""Faults that take processes of their own, a sampler or a compiler, and the tests of them."""

from __future__ import annotations

from typing import NamedTuple


class Elsewhere(NamedTuple):
    """A fault, what comes of it, and the test that shows it."""

    what: str
    comes: str
    test: str


SAMPLING = "tests/model/test_sampling.py::"
EXTREMES = "tests/model/test_extremes.py::"
CODE = "tests/model/test_machine_code.py::"
FOLDER = "tests/test_recovery_folder.py::"
MEMORY = "tests/test_memory.py::"
KILLS = "tests/reliability/test_long_runs.py::"

FAULTS = tuple(
    Elsewhere(*fault)
    for fault in [
        (
            "`kill -9` at random times while fits are saved, models sampled, surveys recovered, "
            "and `mrp poststratify` runs",
            "the old file or the new one is whole; nothing is left after the next start; a "
            "recovery that goes on has the results of one that was never killed",
            f"{KILLS}test_two_hundred_kills_leave_whole_files_and_nothing_else",
        ),
        (
            "SIGKILL or SIGTERM to the parent of a recovery",
            "its workers end within seconds, what is finished is kept",
            f"{FOLDER}test_workers_of_a_parent_that_is_killed_end_and_what_is_finished_is_kept",
        ),
        (
            "a full disk in the middle of a recovery",
            "`FitError` with how many surveys are kept",
            f"{FOLDER}test_a_full_disk_ends_the_run_and_keeps_what_is_finished",
        ),
        (
            "the folder of a recovery vanishes",
            "`FitError` with how many surveys are kept",
            f"{FOLDER}test_a_folder_that_vanishes_ends_the_run_with_what_is_kept",
        ),
        (
            "17 kinds of damage to a file in it: another number, fewer rows, cut off, foreign, …",
            "`SamplingWarning`; those surveys are made again",
            f"{FOLDER}test_a_file_that_does_not_fit_is_made_again_with_a_warning",
        ),
        (
            "40 single flipped bits in such files",
            "made again, or the same numbers",
            f"{FOLDER}test_a_flipped_bit_never_changes_what_is_recovered",
        ),
        (
            "a folder, pipe or link in place of such a file",
            "`RequestError`; it stays as it is",
            f"{FOLDER}test_what_is_no_file_of_a_survey_is_refused_and_stays",
        ),
        (
            "`request.json` cut off, no JSON, a list, …",
            "`RequestError`",
            f"{FOLDER}test_a_request_that_is_none_is_refused",
        ),
        (
            "a panic of the sampler",
            "`FitError`: the sampler failed",
            f"{SAMPLING}test_a_panic_of_the_sampler_is_said",
        ),
        (
            "runs of 1 draw after 1 to 20 of tuning",
            "draws, with a `SamplingWarning`",
            f"{SAMPLING}test_a_run_of_few_draws_ends",
        ),
        (
            "a seed of more than 128 bits, wherever a seed goes",
            "`RequestError`",
            f"{EXTREMES}test_a_seed_of_too_many_bits_is_refused_wherever_one_goes",
        ),
        (
            "one respondent, all 0, all 1, collinear predictors, a prior far away, … are sampled",
            "draws, with a `SamplingWarning`",
            f"{EXTREMES}test_a_survey_with_little_to_say_is_sampled_with_a_warning",
        ),
        (
            "predictors, offsets and priors of 1e300",
            "`DataError` or `FitError` before sampling",
            f"{EXTREMES}test_what_has_no_density_to_start_from_is_refused",
        ),
        (
            "a file of compiled code is empty, cut off, random, a pickle, or a bit is flipped",
            "`EngineWarning`; it is not read but compiled anew",
            f"{CODE}test_a_file_that_is_not_as_it_was_written_is_not_read_but_made_again",
        ),
        (
            "such a file belongs to another user, or anybody may write to it",
            "`EngineWarning`; it is not read",
            f"{CODE}test_a_file_of_another_user_is_not_read",
        ),
        (
            "three processes compile at once",
            "each has the right code",
            f"{CODE}test_processes_that_compile_at_once_do_not_disturb_each_other",
        ),
        (
            "estimates, grids, hypotheses, effects beyond the memory",
            "`RequestError` with the bytes, before they are made",
            f"{MEMORY}test_what_the_memory_can_not_hold_is_refused_before_it_is_made",
        ),
    ]
)
