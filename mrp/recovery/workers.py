"""Refits in this process or in several, which end with the one that started them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import pandas as pd
import psutil

from mrp.errors import FitError
from mrp.memory import check_fits
from mrp.recovery.estimands import Names
from mrp.recovery.refits import Request, refit

BYTES = 400 * 2**20
"""Of a worker process with what it loads."""
LOOKS = 1.0
"""Seconds between a worker's looks at whether the process that started it is still there."""


def check_workers_fit(processes: int | None, surveys: int) -> None:
    """Raise a RequestError if so many workers take more memory than there is."""
    if processes is not None and (count := min(int(processes), surveys)) > 1:
        step = "Leave it out for as many as there are cores, or ask for fewer."
        check_fits(BYTES * count, f"{count:,} worker processes", "processes", step)


def refits(
    request: Request, labels: Names, numbers: Sequence[int], processes: int | None
) -> Generator[pd.DataFrame]:
    """Rows of each survey as it is finished.

    Workers are new processes and not forks, which would inherit locks of the threads that numba,
    BLAS and the sampler keep. joblib's loky sends them functions that were written in a notebook,
    runs in scripts without a ``__main__`` guard, and keeps them alive for the next call.

    Parameters
    ----------
    request, labels
        What is done, and the labels of its estimates.
    numbers
        Of the surveys.
    processes
        How many; by default one for each core.

    Raises
    ------
    FitError
        A worker process ended.
    """
    if not numbers:
        return
    count = min(processes or _cores(), len(numbers))
    if count == 1:
        with _interrupts() as seen:
            for number in numbers:
                yield refit(request, number, labels)
                if seen:
                    raise KeyboardInterrupt
        return
    from joblib import Parallel, delayed  # type: ignore[import-untyped]
    from joblib.externals.loky.process_executor import (  # type: ignore[import-untyped]
        BrokenProcessPool,
        TerminatedWorkerError,
    )

    # Nothing is memory-mapped: estimands may write to the tables that they bring.
    pool = Parallel(
        n_jobs=count, backend="loky", batch_size=1, return_as="generator_unordered",
        max_nbytes=None, initializer=_begin, initargs=(os.getpid(),),
    )  # fmt: skip
    try:
        yield from pool(delayed(refit)(request, number, labels) for number in numbers)
    except (TerminatedWorkerError, BrokenProcessPool) as error:
        raise FitError(
            f"A worker process ended before its survey was finished, maybe for lack of memory. Use "
            f"fewer `processes` than {count}; with `path` the surveys that are finished are kept."
        ) from error


def _begin(parent: int) -> None:
    """What a worker does first: it leaves Ctrl-C to its parent, and ends when that is gone.

    A parent that is killed can't end its workers. Theirs would else wait for minutes, with all that
    they have loaded.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True, name="mrp parent").start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent and psutil.pid_exists(parent):  # Windows keeps the number
        time.sleep(LOOKS)
    os._exit(1)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """What Ctrl-C sends, besides what it does: the sampler keeps it to itself in its last draws."""
    seen: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield seen
        return

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _cores() -> int:
    from joblib import cpu_count

    return int(cpu_count())
