"""Registration of data with the model class."""

from collections.abc import Mapping, Sequence
from typing import Any

from anndata import AnnData
from mudata import MuData
from scvi.model.base import BaseModelClass

from mmvae._checks import check_is
from mmvae.data import (
    MosaicManager,
    Setup,
    SetupArguments,
    check_setup_arguments,
    fields_of,
    inspect_or_raise,
    matrices_of,
    print_setup,
)
from mmvae.train import memory_note

from ._data import Data


class Registration(BaseModelClass):
    """``setup_mudata`` and ``setup_anndata``."""

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        batch_key: str | Sequence[str] | None = None,
        labels_key: str | None = None,
        unlabeled_category: str = "unknown",
        categorical_covariate_keys: Sequence[str] | None = None,
        continuous_covariate_keys: Sequence[str] | None = None,
        prior_covariate_keys: Sequence[str] | None = None,
        size_factor_keys: Mapping[str, str] | None = None,
        layers: Mapping[str, str | None] | None = None,
        likelihoods: Mapping[str, Any] | None = None,
        modalities: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Register a MuData, mosaic or complete, and print what was taken.

        Nothing but ``mdata`` is needed: each modality's layer and likelihood are inferred from its name and values;
        those that are no counts throughout take ``normal``. The data are not copied, padded, reordered or made dense,
        but for a copy by rows of a matrix that is stored by columns (CSC); columns whose names begin with ``_scvi_`` or
        ``_mmvae_`` are added to ``obs``. All faults of the data, such as a few negative or fractional values among
        counts, are raised in one :class:`~mmvae.SetupError`, before anything is written. A model refuses to read data
        whose cells, features, values or registered columns were changed after they were set up; cells may be left out of
        all modalities. A key's own column may be changed: what was set up is read on, and :meth:`train` says so.

        Keys are looked up in ``mdata.obs``, then in the modalities' ``obs``; ``"rna:donor"`` names one modality's.
        Categories are compared by value: 1 and 1.0 are one batch, and a date is the same as its ISO text. Those that no
        cell has are left out.

        Parameters
        ----------
        mdata
            MuData whose modalities share cells (``axis=0``).
        batch_key
            Column of technical batches, such as slides or libraries, that the decoders see; several are combined.
        labels_key
            Column of labels, for the cells that have one. ``prior="labels"`` learns from them, so that
            :meth:`predict` can label the others; no other prior looks at them. scvi-tools' tuner reads them.
        unlabeled_category
            What the column says of cells without a label, beside missing values.
        categorical_covariate_keys, continuous_covariate_keys
            Columns of categories and of numbers that the decoders should see, too. Numbers are standardised, those of
            other data by the same mean and standard deviation.
        prior_covariate_keys
            Columns of biological categories, such as tissue or stage, that ``prior="conditional"`` looks at. Neither
            encoders nor decoders see them.
        size_factor_keys
            By modality, column of size factors. By default the cell's total over the modality's features.
        layers
            By modality, layer to model; ``None`` is X. By default X, or a layer named ``counts`` where X is not counts.
        likelihoods
            By modality, a likelihood's name (``nb``, ``zinb``, ``poisson``, ``bernoulli``, ``nb_mixture``, ``normal``,
            ``student_t``) or that of one of your own (:class:`~mmvae.likelihoods.Likelihood`).
        modalities
            Which modalities to use, by what they are: ``{"rna": "gex", "atac": "peaks"}``. By default all.
        **kwargs
            For scvi-tools.
        """
        given = {name: value for name, value in locals().items() if name not in ("cls", "mdata", "kwargs")}
        if not _is_mudata(mdata):
            msg = f"Expected a MuData; got {type(mdata).__name__}. For an AnnData use setup_anndata."
            raise TypeError(msg)
        setup = _inspect(mdata, given, kwargs)
        taken = {"modalities": {name: name for name in setup.names} if modalities is None else dict(modalities)}
        # What was taken, in the data's order; of a reference's modalities also what the data lack, in its order.
        known = given if kwargs.get("source_registry") else {}
        taken["layers"] = dict(known.get("layers") or {}) | {m.name: m.layer for m in setup.modalities}
        taken["likelihoods"] = dict(known.get("likelihoods") or {}) | {m.name: m.likelihood for m in setup.modalities}
        cls._register(mdata, setup, cls._get_setup_method_args(cls=cls, mdata=mdata, **given | taken), kwargs)

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        modality: str = "rna",
        batch_key: str | Sequence[str] | None = None,
        labels_key: str | None = None,
        unlabeled_category: str = "unknown",
        categorical_covariate_keys: Sequence[str] | None = None,
        continuous_covariate_keys: Sequence[str] | None = None,
        prior_covariate_keys: Sequence[str] | None = None,
        size_factor_key: str | None = None,
        layer: str | None = None,
        likelihood: Any | None = None,
        **kwargs: Any,
    ) -> None:
        """Register an AnnData: a MuData of one modality, called ``modality``; else like :meth:`setup_mudata`."""
        given = {name: value for name, value in locals().items() if name not in ("cls", "adata", "kwargs")}
        if _is_mudata(adata) or not hasattr(adata, "X"):
            msg = f"Expected an AnnData; got {type(adata).__name__}. For a MuData use setup_mudata."
            raise TypeError(msg)
        setup = _inspect(adata, given, kwargs)
        taken = {"layer": setup.modalities[0].layer, "likelihood": setup.modalities[0].likelihood}
        cls._register(adata, setup, cls._get_setup_method_args(cls=cls, adata=adata, **given | taken), kwargs)

    @classmethod
    def setup_annbatch(cls, *args: Any, **kwargs: Any) -> None:
        """Refused: it is for AnnData of one modality, see :class:`~mmvae.MosaicDataModule`."""
        msg = "Expected data from mmvae.pp.read_backed; got setup_annbatch, which knows one modality. See MosaicDataModule."
        raise NotImplementedError(msg)

    @classmethod
    def _get_most_recent_anndata_manager(cls, adata: Data, required: bool = False) -> Any:
        """scvi-tools', which knows no MuData in its words."""
        check_is("data", adata, MuData, AnnData)
        found = super()._get_most_recent_anndata_manager(adata)
        if found is None and required:
            method = "setup_mudata" if _is_mudata(adata) else "setup_anndata"
            msg = f"Expected data that were set up; got a {type(adata).__name__} that was not. Call MultiVAE.{method} first."
            raise ValueError(msg)
        return found

    @classmethod
    def _register(cls, data: Data, setup: Setup, method_args: dict[str, Any], kwargs: dict[str, Any]) -> None:
        manager = MosaicManager(setup, fields=fields_of(data, setup), setup_method_args=method_args)
        # First what may fail, such as printing to a closed pipe: a failure leaves the data as they were.
        if kwargs.get("source_registry") is None:
            print_setup(setup)
            print(memory_note(data.n_obs, matrices_of(data, setup)))
        manager.register_fields(data, **kwargs)
        cls.register_manager(manager)


def _inspect(data: Data, given: Mapping[str, Any], kwargs: Mapping[str, Any]) -> Setup:
    check_setup_arguments(given, kwargs)
    extend = kwargs.get("extend_categories", False)
    return inspect_or_raise(data, SetupArguments.of(given), kwargs.get("source_registry"), extend=extend)


def _is_mudata(data: object) -> bool:
    return hasattr(data, "mod") and hasattr(data, "obsmap")
