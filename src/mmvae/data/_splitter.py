"""Loaders of training and validation cells: by where their values are, and on what they are trained."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerStatus
from scvi.dataloaders import DataSplitter
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, Subset

from ._dataset import BLOCK_CELLS, BUFFER_CELLS, MosaicStream
from ._resident import ResidentDataset, placement


class MosaicSplitter(DataSplitter):
    """scvi-tools' loaders where all values are in memory, else :class:`MosaicStream`.

    ``stream`` holds ``block_cells`` and ``buffer_cells``. On several devices each reads cells of its own, one by one. On one
    card values in memory go there once, where they fit, unless ``keep_on_card`` is false, and else from pinned memory.
    """

    adata_manager: Any  # a MosaicManager
    placement = ""
    """Where the values are while a card trains, in words."""

    def __init__(
        self, *args: Any, stream: dict[str, int] | None = None, keep_on_card: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.stream = {"block_cells": BLOCK_CELLS, "buffer_cells": BUFFER_CELLS} | (stream or {})
        self.keep_on_card = keep_on_card
        self._resident: ResidentDataset | None = None

    def train_dataloader(self) -> DataLoader:
        """Training cells, shuffled."""
        own = self._own_loader(self.train_idx, shuffle=True)
        return super().train_dataloader() if own is None else own

    def val_dataloader(self) -> DataLoader | None:
        """Validation cells, in order; ``None`` without any."""
        own = self._own_loader(self.val_idx) if len(self.val_idx) else None
        return super().val_dataloader() if own is None else own

    def teardown(self, stage: str | None = None) -> None:
        """Give back the card's memory, to which the trainer, whom the model keeps, would hold on."""
        if self._resident is not None:
            self._resident.clear()
        self._resident, self.placement = None, ""

    def on_exception(self, exception: BaseException) -> None:
        """As :meth:`teardown`, which is not called then."""
        self.teardown()

    @property
    def registry(self) -> dict[str, Any]:
        """What was registered, to build a model from."""
        return self.adata_manager.registry

    @property
    def _card(self) -> torch.device | None:
        """The card that trains, if there is one, by itself."""
        # Once it has ended, nothing would take from the card what is put there.
        trains = self.trainer is not None and self.trainer.state.status == TrainerStatus.RUNNING
        if not trains or self.trainer.world_size > 1:
            return None
        device = self.trainer.strategy.root_device
        return device if device.type == "cuda" else None

    def _own_loader(self, cells: np.ndarray, *, shuffle: bool = False) -> DataLoader | None:
        """A loader that scvi-tools has not, where one suits the data and the device."""
        if self.data_loader_kwargs.get("distributed_sampler", False):
            return None
        if self.adata_manager.is_on_disk:
            return self._streamed(cells, shuffle=shuffle)
        if self._card is None or not self.keep_on_card:
            return None
        resident = self._resident or self._settled(self._card)
        if resident is None:
            return None
        size = self.data_loader_kwargs["batch_size"]
        sampler = (RandomSampler if shuffle else SequentialSampler)(cells)
        batches = BatchSampler(sampler, size, drop_last=shuffle and self.drop_last)
        return DataLoader(Subset(resident, cells.tolist()), batch_size=None, sampler=batches)

    def _settled(self, card: torch.device) -> ResidentDataset | None:
        """The values on the card, if they fit."""
        dataset = self.adata_manager.create_torch_dataset()
        fits, self.placement = placement(dataset.matrices, card)
        if fits:
            self._resident = ResidentDataset(dataset, card)
        else:
            self.pin_memory = True
        return self._resident

    def _streamed(self, cells: np.ndarray, batch_size: int | None = None, *, shuffle: bool = False) -> DataLoader:
        size = batch_size or self.data_loader_kwargs["batch_size"]
        stream = MosaicStream(self.adata_manager.create_torch_dataset(), cells, size, shuffle, **self.stream)
        return DataLoader(stream, batch_size=None, pin_memory=self.pin_memory)
