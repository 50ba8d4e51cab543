"""The time that a call may take."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from typing import TypeAlias

    Kind: TypeAlias = tuple[Hashable, ...]


class CutShortError(RuntimeError):
    """A run did not come to its end in the time that was left."""


class Budget:
    """Seconds that a call may take, all of them if ``None``, and how long its runs took so far.

    Parameters
    ----------
    seconds
        From now on.
    now
        The clock, in seconds.
    """

    def __init__(self, seconds: float | None = None, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._end = None if seconds is None else now() + seconds
        self._took: dict[Kind, float] = {}

    @property
    def left(self) -> float | None:
        """Seconds that are left, 0 at the least; ``None`` if there is no end."""
        return None if self._end is None else max(0.0, self._end - self._now())

    def fits(self, kind: Kind, least: float = 0.0) -> bool:
        """Whether a run can be expected to end in time.

        One of a ``kind`` that has been run is expected to take as long as the last of these. Another is expected to take as
        long as the longest so far of the same part and data, the first entries of its kind, or else of the same part.
        """
        likely = max(self._expected(kind), least)
        left = self.left
        return left is None or (left > 0 and likely <= left)

    def _expected(self, kind: Kind) -> float:
        for length in (len(kind), 2, 1):
            if alike := [seconds for other, seconds in self._took.items() if other[:length] == kind[:length]]:
                return max(alike)
        return 0.0

    @contextmanager
    def timing(self, kind: Kind) -> Iterator[None]:
        """Remember how long a run of this kind takes, whether or not it fails."""
        started = self._now()
        try:
            yield
        finally:
            self._took[kind] = self._now() - started
