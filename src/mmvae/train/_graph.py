"""CUDA graphs: operations that are captured once and replayed."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import torch


class Graph(Protocol):
    """Operations that are recorded once, without an effect, and then run again, on the same memory."""

    def warm(self, run: Callable[[], None]) -> None:
        """Run for the effect, in the surroundings in which operations are captured later."""

    def capture(self, run: Callable[[], None]) -> None:
        """Record what ``run`` does."""

    def replay(self) -> None:
        """Do it."""


class CudaGraph:
    """Those of a card."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.graph, self.stream = device, torch.cuda.CUDAGraph(), torch.cuda.Stream(device)

    def warm(self, run: Callable[[], None]) -> None:
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            run()
        current.wait_stream(self.stream)

    def capture(self, run: Callable[[], None]) -> None:
        noise = torch.cuda.get_rng_state(self.device)
        try:
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                run()
        except BaseException:
            with suppress(RuntimeError):
                torch.cuda.set_rng_state(noise, self.device)
            raise

    def replay(self) -> None:
        self.graph.replay()


def graph_on(device: torch.device) -> Graph | None:
    """An empty graph, if the device has any."""
    return CudaGraph(device) if device.type == "cuda" else None
