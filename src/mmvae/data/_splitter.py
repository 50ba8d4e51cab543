"""The loaders of a training: of values in memory cell by cell, of values in files in blocks."""

from typing import Any

import numpy as np
from scvi.dataloaders import DataSplitter
from torch.utils.data import DataLoader

from ._manager import MosaicManager
from ._stream import MosaicStream


class MosaicSplitter(DataSplitter):
    """scvi-tools' loaders where all values are in memory, else :class:`MosaicStream`.

    ``stream`` holds ``block_cells`` and ``buffer_cells``. On several devices each reads cells of its own, one by one.
    """

    adata_manager: MosaicManager

    def __init__(self, *args: Any, stream: dict[str, int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stream = stream or {}

    def train_dataloader(self) -> DataLoader:
        """Training cells, shuffled."""
        return self._streamed(self.train_idx, shuffle=True) if self._streams else super().train_dataloader()

    def val_dataloader(self) -> DataLoader | None:
        """Validation cells, in order; ``None`` without any."""
        if self._streams and len(self.val_idx):
            return self._streamed(self.val_idx)
        return super().val_dataloader()

    @property
    def registry(self) -> dict[str, Any]:
        """What was registered, to build a model from."""
        return self.adata_manager.registry

    @property
    def _streams(self) -> bool:
        return self.adata_manager.is_on_disk and not self.data_loader_kwargs.get("distributed_sampler", False)

    def _streamed(self, cells: np.ndarray, batch_size: int | None = None, *, shuffle: bool = False) -> DataLoader:
        size = batch_size or self.data_loader_kwargs["batch_size"]
        stream = MosaicStream(self.adata_manager.create_torch_dataset(), cells, size, shuffle=shuffle, **self.stream)
        return DataLoader(stream, batch_size=None, pin_memory=self.pin_memory)
