"""Work in dependency order, independent pieces at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter


def in_order(needs: Mapping[str, Collection[str]], work: Callable[[str], None], *, at_once: int) -> None:
    """Call `work` with every name of `needs`, each after the names it needs, up to `at_once` in parallel.

    Raises what a call raises: then nothing more is begun, and what was under way has ended.
    """
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    running: dict[Future[None], str] = {}
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="provision")
    try:
        while sorter.is_active():
            running |= {pool.submit(work, name): name for name in sorter.get_ready()}
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
                sorter.done(running.pop(future))
    finally:
        pool.shutdown(cancel_futures=True)
