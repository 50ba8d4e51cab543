"""Work in processes that are killed, at a given call of the system or at any moment."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

# What asks the system to change something. Each of them is where a process may be killed, or fail.
CALLS = ("open", "mkdir", "fsync", "chmod", "chown", "replace", "rename", "link", "unlink", "rmdir")


def stopping_at(n: int, stop: Callable[[], Any], set_to: Callable[..., Any] = setattr) -> Counter[str]:
    """Have the ``n``-th of the calls stop, in this process; how often each was called."""
    called: Counter[str] = Counter()

    def wrap(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            called[name] += 1
            if called.total() == n:
                stop()
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        set_to(os, name, wrap(name))
    return called


def started(work: Callable[[], Any]) -> int:
    """The number of a process of its own, with all that this one has imported, that ends with 0 if ``work`` does well."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        work()
        code = 0
    finally:
        os._exit(code)


def code_of(child: int) -> int:
    """How a process ended: below 0, the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at_random(work: Callable[[], Any], n: int, random: np.random.Generator) -> Iterator[None]:
    """Start ``work`` and kill it at a moment of the time that it takes, until it was killed ``n`` times, as yielded."""
    start = time.perf_counter()
    assert code_of(started(work)) == 0
    takes, left = time.perf_counter() - start, n
    while left:
        child = started(work)
        time.sleep(random.uniform(0, takes))
        os.kill(child, signal.SIGKILL)
        if code_of(child) == -signal.SIGKILL:
            left -= 1
            yield
