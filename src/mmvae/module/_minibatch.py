"""A minibatch, and one pass of it through the module, as values. G_m features of modality m, n_m cells that have it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import torch
from scvi import REGISTRY_KEYS
from torch import Tensor
from torch.distributions import Normal

from mmvae._keys import (
    CELLS,
    PRESENT,
    PRIOR_COVARIATES,
    columns_key,
    layer_key,
    posterior_keys,
    rows_key,
    size_factor_key,
    starts_key,
)
from mmvae.fusion import Posteriors, PriorTerm
from mmvae.likelihoods import Emission
from mmvae.nn import Covariates, Places, SparseRows, totals
from mmvae.priors import PriorContext


class Annotations(NamedTuple):
    """What priors may know of cells: codes of labels, -1 where there is none, and of covariates; places in the data."""

    labels: Tensor
    covariates: Tensor
    cells: Tensor


class NoValues(Mapping[str, Tensor | SparseRows]):
    """In place of the values of modalities, where data were minified: to ask for them is an error."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)

    def __getitem__(self, name: str) -> Tensor | SparseRows:
        """Raise a ``ValueError``."""
        msg = (
            f"Expected data that hold the values of '{name}'; got minified data, which hold the posteriors of their cells "
            "alone. Give the method the data with their values, or load the model with those. Data that are minified as "
            "'latent_posterior_parameters_with_counts' keep them."
        )
        raise ValueError(msg)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Minibatch:
    """Cells as the module reads them.

    ``values[m]``, ``(n_m, G_m)``, sparse or dense, are those of the cells that have modality m, ``rows[m]``,
    ``(n_m,)``, the places of these cells in the minibatch, ascending, and ``size_factors[m]``, ``(n_m, 1)``, theirs in
    counts. ``present`` is boolean, ``(n_cells, n_modalities)``. Where ``is_padded``, see :class:`PaddedBuffers`, all cells
    have a row of each modality, and what is made of the rows of cells that lack it does not count. ``stored[m]``, batch
    shape ``(n_m, D_m)``, are posteriors that minified data hold, to take in place of the encoder's; then there may be no
    values.
    """

    values: Mapping[str, Tensor | SparseRows]
    rows: Mapping[str, Tensor]
    present: Tensor
    size_factors: Mapping[str, Tensor]
    covariates: Covariates
    annotations: Annotations
    is_padded: bool = False
    stored: Mapping[str, Normal] = field(default_factory=dict)

    @classmethod
    def of(
        cls, tensors: Mapping[str, Tensor], scales: Mapping[str, Tensor], n_features: Mapping[str, int], n_labels: int
    ) -> Self:
        """From ``tensors`` as :class:`~mmvae.data.MosaicDataset` or :class:`PaddedBuffers` gives them.

        The ``scales``, scalars, bring a user's size factors to the scale of totals. Labels from ``n_labels`` on, those
        of a query, are none.
        """
        stored = {name: _stored(tensors, name) for name in n_features if posterior_keys(name)[0] in tensors}
        values: Mapping[str, Tensor | SparseRows] = NoValues(n_features)
        if any(layer_key(name) in tensors for name in n_features):
            values = {name: _values(tensors, name, n) for name, n in n_features.items()}
        is_padded = not any(rows_key(name) in tensors for name in n_features)
        rows, present = _rows(tensors, list(n_features), is_padded=is_padded), tensors[PRESENT]
        factors = {}
        for (name, scale), has in zip(scales.items(), present.split(1, dim=1), strict=True):
            factors[name] = _size_factors(tensors, name, rows[name], scale, values)
            if is_padded:  # of what a cell lacks nothing need be known
                factors[name] = torch.where(has, factors[name], 1.0)
        annotations = _annotations(tensors, n_labels)
        return cls(values, rows, present, factors, _covariates(tensors), annotations, is_padded, stored)

    def __len__(self) -> int:
        return len(self.present)

    @property
    def is_complete(self) -> bool:
        """Whether every cell has every modality, which the numbers of rows tell without a look at the device."""
        return not self.is_padded and all(len(rows) == len(self) for rows in self.rows.values())

    def take(self, name: str, values: Tensor) -> Tensor:
        """Of the values of all cells, ``(n_cells, ...)``, those of the cells that have modality ``name``."""
        return values if len(self.rows[name]) == len(self) else values[self.rows[name]]

    def place(self, name: str, values: Tensor) -> Tensor:
        """Values of the cells that have modality ``name``, ``(n_m, ...)``, at their places; 0 elsewhere."""
        if self.is_padded:
            has = self.present[:, list(self.values).index(name)]
            return torch.where(has.reshape(-1, *[1] * (values.ndim - 1)), values, 0.0)
        if len(values) == len(self):
            return values
        return values.new_zeros(len(self), *values.shape[1:]).index_copy(0, self.rows[name], values)

    def covariates_of(self, name: str) -> Covariates:
        """Covariates of the cells that have modality ``name``."""
        return self.covariates if len(self.rows[name]) == len(self) else self.covariates.take(self.rows[name])

    def without(self, name: str) -> Self:
        """The minibatch as it would be if no cell had the modality."""
        present = self.present.clone()
        present[:, list(self.values).index(name)] = False
        rows, factors = ({**part, name: part[name][:0]} for part in (self.rows, self.size_factors))
        stored = {key: q if key != name else _normal(q.loc[:0], q.scale[:0]) for key, q in self.stored.items()}
        values = self.values
        if not isinstance(values, NoValues):
            own = values[name]
            none = factors[name].new_zeros(0, own.n_columns if isinstance(own, SparseRows) else own.shape[1])
            values = {**values, name: none}
        return replace(self, values=values, rows=rows, size_factors=factors, present=present, stored=stored)

    def in_batch(self, code: int | None) -> Self:
        """The minibatch as if all cells came from the batch of this code; from their own where it is ``None``."""
        if code is None:
            return self
        batch = torch.full_like(self.covariates.batch, code)
        return replace(self, covariates=replace(self.covariates, batch=batch))


@dataclass(frozen=True)
class Inference:
    """From the data to what the decoders read.

    ``latent``, ``(n_cells, L)``, is a draw; ``fused``, ``(n_cells, U)``, what the decoders read of it; ``prior_terms``
    are what the latents pay for it, and ``contexts``, by latent, what their priors may condition on.
    """

    minibatch: Minibatch
    posteriors: Posteriors
    latent: Tensor
    fused: Tensor
    prior_terms: list[PriorTerm]
    contexts: Mapping[str, PriorContext]


@dataclass(frozen=True)
class Step:
    """An inference, and by modality how the decoders explain the values of the cells that have it."""

    inference: Inference
    emissions: Mapping[str, Emission]


def _values(tensors: Mapping[str, Tensor], name: str, n_features: int) -> Tensor | SparseRows:
    values = tensors[layer_key(name)]
    if values.ndim == 2:
        return values
    return SparseRows(values, Places(tensors[columns_key(name)], tensors[starts_key(name)], n_features))


def _stored(tensors: Mapping[str, Tensor], name: str) -> Normal:
    mean, variance, _ = (tensors[key] for key in posterior_keys(name))
    return _normal(mean, variance.sqrt())


def _normal(loc: Tensor, scale: Tensor) -> Normal:
    return Normal(loc, scale, validate_args=False)


def _rows(tensors: Mapping[str, Tensor], names: list[str], *, is_padded: bool) -> dict[str, Tensor]:
    if not is_padded:
        return {name: tensors[rows_key(name)] for name in names}
    return dict.fromkeys(names, torch.arange(len(tensors[PRESENT]), device=tensors[PRESENT].device))


def _size_factors(
    tensors: Mapping[str, Tensor], name: str, rows: Tensor, scale: Tensor, values: Mapping[str, Tensor | SparseRows]
) -> Tensor:
    """Those that minified data hold, those of the user on the scale of totals, or totals."""
    stored, given = tensors.get(posterior_keys(name)[2]), tensors.get(size_factor_key(name))
    if stored is not None:
        return stored
    return totals(values[name]) if given is None else given[rows] * scale


def _covariates(tensors: Mapping[str, Tensor]) -> Covariates:
    categorical = tensors.get(REGISTRY_KEYS.CAT_COVS_KEY)
    columns = () if categorical is None else tuple(categorical.split(1, dim=1))
    return Covariates(tensors[REGISTRY_KEYS.BATCH_KEY], columns, tensors.get(REGISTRY_KEYS.CONT_COVS_KEY))


def _annotations(tensors: Mapping[str, Tensor], n_labels: int) -> Annotations:
    cells = tensors[CELLS].long()
    labels = torch.full_like(cells, -1)
    if REGISTRY_KEYS.LABELS_KEY in tensors:
        given = tensors[REGISTRY_KEYS.LABELS_KEY].squeeze(1).long()
        labels = torch.where(given < n_labels, given, -1)
    none = cells.new_zeros(len(cells), 0)
    return Annotations(labels, tensors.get(PRIOR_COVARIATES, none).long(), cells)
