"""What the mixins may expect of the class that they end up in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

    from mmvae.data import MosaicManager
    from mmvae.module import MultiVAEModule

Indices: TypeAlias = "Sequence[int] | np.ndarray"
"""Cells, by number or as a mask."""

if TYPE_CHECKING:

    class ModelBase:
        """Attributes of scvi-tools' model, which has no types, and of ours."""

        module: MultiVAEModule
        adata: MuData | AnnData
        adata_manager: MosaicManager
        registry_: dict[str, Any]
        summary_stats: Any
        history_: Any
        is_trained_: bool
        train_indices_: Indices | None
        validation_indices_: Indices | None
        seed: int
        shared_: dict[str, Any] | None
        labelled_: dict[str, Any] | None
        reliability_: dict[str, float] | None
        spread_: dict[str, float] | None
        best_epoch_: int | None
        training_report_: list[str]
        _linked: MuData | AnnData | None

        @property
        def modalities(self) -> list[str]: ...

        @property
        def labels(self) -> list[str]: ...

        @property
        def _features(self) -> dict[str, np.ndarray]: ...

        def _check_if_trained(self, warn: bool = True) -> None: ...

        def _validate_anndata(
            self, adata: MuData | AnnData | None = None, copy_if_view: bool = True
        ) -> MuData | AnnData: ...

        def _make_data_loader(
            self, adata: MuData | AnnData, indices: Indices | None = None, batch_size: int | None = None, **kwargs: Any
        ) -> Iterator[dict[str, Tensor]]: ...

        def get_latent_representation(
            self, adata: Any = None, indices: Any = None, *, batch_size: int | None = None, **kwargs: Any
        ) -> Any: ...

        def _outputs(
            self, adata: MuData | AnnData | None, indices: Indices | None, batch_size: int | None
        ) -> Iterator[dict[str, Any]]: ...

        def _minibatches(
            self,
            adata: MuData | AnnData | None,
            indices: Indices | None,
            batch_size: int | None,
            dataloader: Iterator[dict[str, Tensor]] | None = None,
            **data_loader_kwargs: Any,
        ) -> Iterator[dict[str, Tensor]]: ...

        def _loader(
            self, adata: MuData | AnnData, indices: Indices | None, batch_size: int | None, **kwargs: Any
        ) -> Iterator[dict[str, Tensor]]: ...

        def _fill_graphs(self, adata: MuData | AnnData) -> None: ...

        def _clear_graphs(self) -> None: ...

        def _all_posteriors(self, adata: MuData | AnnData, name: str) -> tuple[Tensor, Tensor]: ...

        def _link(self, adata: MuData | AnnData) -> None: ...

        def _weighted(self, fused: Tensor) -> Tensor: ...

        def _remember_labelled(self) -> None: ...

        def _remember_reliability(self) -> None: ...

        def _cell_names(self, adata: MuData | AnnData | None, indices: Indices | None) -> pd.Index: ...

        @classmethod
        def load(cls, dir_path: str, adata: Any = None, *args: Any, **kwargs: Any) -> Self: ...

        @classmethod
        def load_query_data(cls, adata: Any, reference_model: Any, *args: Any, **kwargs: Any) -> Self: ...

        @classmethod
        def register_manager(cls, adata_manager: MosaicManager) -> None: ...

        @staticmethod
        def _get_setup_method_args(**setup_locals: Any) -> dict[str, Any]: ...

else:
    ModelBase = object
