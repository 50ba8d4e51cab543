"""Minibatches of one fixed shape. B cells, G_m features of modality m, N_m stored values at the most."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmvae._keys import PRESENT, columns_key, layer_key, rows_key, starts_key

SLACK = 1.25  # stored values that there is room for, times those of the minibatch that the room is made for


class PaddedBuffers:
    """Memory for minibatches of B cells, whatever these have, so that one sequence of operations suits them all.

    Every modality has a row for each cell, empty where the cell lacks it, and there are no ``rows_m``. Sparse values are
    followed by stored zeros, which are the last cell's and contribute nothing to any sum.

    Parameters
    ----------
    tensors
        A minibatch to make room for.
    n_features
        Of each modality.
    smaller
        Buffers that had too little room: there is no less of it for any modality.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], n_features: Mapping[str, int], smaller: "PaddedBuffers | None" = None
    ) -> None:
        self.n_features, self.n_cells = n_features, len(tensors[PRESENT])
        self.others = {key: torch.empty_like(value) for key, value in self._rest(tensors).items()}
        self.layers: dict[str, Tensor] = {}
        for name in n_features:
            least = 0 if smaller is None else len(smaller.layers[layer_key(name)])
            self.layers |= self._room(tensors, name, least)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The minibatch that :meth:`fill` was given last, padded."""
        return self.others | self.layers

    def take(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether this minibatch has the shape that fits."""
        kinds, own = (
            {key: (value.shape, value.dtype) for key, value in others.items()}
            for others in (self._rest(tensors), self.others)
        )
        return kinds == own and all(self._fits(tensors, name) for name in self.n_features)

    def fill(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy a minibatch that fits, for which nothing waits."""
        for key, buffer in self.others.items():
            buffer.copy_(tensors[key], non_blocking=True)
        for name in self.n_features:
            values, rows, room = tensors[layer_key(name)], tensors[rows_key(name)], self.layers[layer_key(name)]
            if room.ndim == 2:
                room.zero_().index_copy_(0, rows, values)
            else:
                self._fill_stored(tensors, name)

    def _rest(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is not of a modality's values."""
        values = {key for name in self.n_features for key in _keys(name)}
        return {key: value for key, value in tensors.items() if key not in values}

    def _fill_stored(self, tensors: Mapping[str, Tensor], name: str) -> None:
        room, columns, starts = (self.layers[key] for key in _keys(name)[:3])
        lengths = torch.zeros_like(starts[1:])
        n_stored = 0
        if columns_key(name) in tensors:  # some cell has the modality
            n_stored = len(tensors[layer_key(name)])
            room[:n_stored].copy_(tensors[layer_key(name)])
            # Behind these stay those of before: a zero may be in any column.
            columns[:n_stored].copy_(tensors[columns_key(name)])
            lengths.index_copy_(0, tensors[rows_key(name)], tensors[starts_key(name)].diff())
        room[n_stored:].zero_()
        starts[1:].copy_(lengths.cumsum(0))
        starts[-1:].fill_(len(room))

    def _room(self, tensors: Mapping[str, Tensor], name: str, least: int) -> dict[str, Tensor]:
        values = tensors[layer_key(name)]
        if values.ndim == 2 and len(values):
            return {layer_key(name): values.new_zeros(self.n_cells, values.shape[1])}
        size = max(int(SLACK * len(values)) + 1, least)
        starts = torch.zeros(self.n_cells + 1, dtype=torch.long, device=values.device)
        # Zeros in one column would be added to one number, one after the other.
        columns = torch.arange(size, device=values.device) % self.n_features[name]
        return {layer_key(name): values.new_zeros(size), columns_key(name): columns, starts_key(name): starts}

    def _fits(self, tensors: Mapping[str, Tensor], name: str) -> bool:
        values, room = tensors[layer_key(name)], self.layers[layer_key(name)]
        if room.ndim == 2:
            return values.ndim == 2
        return len(values) == 0 or (values.ndim == 1 and len(values) <= len(room))


def _keys(name: str) -> tuple[str, str, str, str]:
    return layer_key(name), columns_key(name), starts_key(name), rows_key(name)
