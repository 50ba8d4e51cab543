"""Which features of which modality move a cell: integrated gradients. C cells, M modalities, G_m features, H hidden units."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.distributions import Normal

from mmvae._checks import COUNT, check_numbers, check_texts, listed
from mmvae.fusion import Posteriors
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader
from mmvae.module import Minibatch
from mmvae.nn import SparseRows, dense

from ._effects import cells_at_a_time, some_cells
from ._targets import target_of

BASELINE_CELLS = 1_000


@dataclass
class Sums:
    """Of a modality's features over cells, each ``(G_m,)``."""

    n_cells: int = 0
    parts: dict[str, Any] = field(default_factory=dict)

    def add(self, moved: Tensor, attribution: Tensor) -> None:
        """Take cells that lie ``moved`` from the baseline, and attributions of their features, each ``(C, G_m)``."""
        self.n_cells += len(moved)
        found = {"attribution": attribution, "importance": attribution.abs()}
        found |= {"product": attribution * moved, "square": moved.square()}
        for name, values in found.items():
            self.parts[name] = self.parts.get(name, 0.0) + values.sum(dim=0, dtype=torch.float64).cpu().numpy()

    def frame(self) -> pd.DataFrame:
        """Means over cells, and the slope of attributions on values."""
        means = {name: self.parts[name] / self.n_cells for name in ("attribution", "importance")}
        varies = self.parts["square"] > 0
        slope = np.divide(self.parts["product"], self.parts["square"], out=np.zeros(len(varies)), where=varies)
        return pd.DataFrame(means | {"slope": slope})


class AttributionMethods(DataAccess):
    """Features behind what the model says of a cell."""

    def get_attributions(
        self,
        target: str,
        adata: Data | None = None,
        indices: Indices | None = None,
        *,
        sources: Sequence[str] | None = None,
        reference: Indices | None = None,
        n_cells: int = 1_000,
        n_steps: int = 50,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        r"""Which features of which modality move a latent or the expected value of a feature: integrated gradients.

        Of encoders, fusion and decoder together, f, between a baseline :math:`\bar x` and the cell x, as the encoders see
        values (log1p of counts at median depth, for most likelihoods) :cite:p:`Sundararajan2017`,

        .. math:: a_g = (x_g - \bar x_g) \int_0^1 \frac{\partial f}{\partial x_g}
            \big(\bar x + t (x - \bar x)\big)\, dt, \qquad \sum_g a_g = f(x) - f(\bar x)

        The baseline is the average of cells, so that an attribution is what tells the cell from these. It needs captum:
        ``pip install "mmvae[explain]"``.

        It explains the model, which need not be the cell: of genes that go together the encoder may read any.

        Parameters
        ----------
        target
            A feature of a modality, ``"protein:CD8"``: log2 of its expected value, decoded (the value itself under
            ``normal`` and ``student_t``), with a tenth of the cell's mean rate added as in :meth:`get_loadings`. Or a
            dimension, named as there: ``"rna_0"`` of what the decoders read, ``"shared_0"`` of what modalities share.
        adata, indices
            As in :meth:`get_latent_representation`. Cells that have none of the ``sources`` are left out; with one cell in
            ``indices`` the attributions are its own.
        sources
            Modalities that the encoders see; by default all, but for a feature those other than its own, as in
            :meth:`impute`.
        reference
            Cells of ``adata`` of which the average is the baseline, by number or as a mask; all by default, of which 1,000
            are taken at random.
        n_cells
            Cells to use at most, at random, always the same ones.
        n_steps
            Points at which the gradient is taken along the way. The more, the better attributions add up.
        batch_size
            Cells at a time; by default as many as there is room for.

        Returns
        -------
        DataFrame of features, indexed by modality and feature, over the cells that have the modality:

        - ``attribution``: the mean attribution, in units of the target. Those of one cell add up to what tells its target
          from the baseline's;
        - ``importance``: the mean absolute attribution, by which the frame is sorted;
        - ``slope``: how far the target moves with a unit of the feature, as the encoder sees it. Its sign says which way.

        Raises
        ------
        ModuleNotFoundError
            Without captum.

        Examples
        --------
        >>> model.get_attributions("protein:CD8").head(10)
        """
        check_texts(target=target)
        check_numbers({"n_cells": COUNT, "n_steps": COUNT}, n_cells=n_cells, n_steps=n_steps)
        reader = Reader(self)
        explained = _Explained(reader, target, sources, n_steps)
        cells = explained.having(adata, some_cells(reader, adata, indices, n_cells), target)
        among = explained.having(adata, some_cells(reader, adata, reference, BASELINE_CELLS), "the baseline")
        size = explained.batch_size if batch_size is None else batch_size
        baseline = explained.baseline(reader.minibatches(adata, among, size))
        sums = {name: Sums() for name in explained.sources}
        for minibatch in reader.minibatches(adata, cells, size):
            for name, rows in explained.attributions(minibatch, baseline):
                sums[name].add(*rows)
        frames = {name: own.frame().set_index(reader.features(name)) for name, own in sums.items() if own.n_cells}
        return pd.concat(frames, names=["modality", "feature"]).sort_values("importance", ascending=False)


class _Explained:
    """What is explained, and by which modalities."""

    def __init__(self, reader: Reader, target: str, sources: Sequence[str] | None, n_steps: int) -> None:
        self.gradients = _captum()
        self.module, self.reader, self.n_steps = reader.module, reader, n_steps
        own, self.target = target_of(reader, target)
        self.sources = _sources(reader, own, sources)
        n_decoded = 1 if own is None else self.module.likelihoods[own].n_features
        self.at_once = cells_at_a_time(n_decoded)
        n_shown = [self.module.likelihoods[name].n_features for name in self.sources]
        self.batch_size = cells_at_a_time(max(n_decoded, *n_shown))

    def having(self, adata: Data | None, cells: np.ndarray, what: str) -> np.ndarray:
        """The cells that have one of the sources."""
        _, presence = self.reader.cells(self.reader.data(adata), cells)
        having = cells[presence[:, [self.reader.names.index(name) for name in self.sources]].any(axis=1)]
        if len(having) == 0:
            msg = f"Expected cells with {' or '.join(self.sources)} for {what}; got none. Give other cells or sources."
            raise ValueError(msg)
        return having

    @torch.no_grad()
    def baseline(self, minibatches: Iterator[Minibatch]) -> dict[str, Tensor]:
        """Average of what the encoder of each source sees, ``(1, G_m)``; 0 where no cell has the modality."""
        totals = {name: torch.zeros(self.module.likelihoods[name].n_features) for name in self.sources}
        counts = dict.fromkeys(self.sources, 0)
        for minibatch in minibatches:
            for name in self.sources:
                totals[name] += dense(self.module.encoder_input(name, minibatch)).sum(dim=0).cpu()
                counts[name] += len(minibatch.rows[name])
        return {n: (total / max(counts[n], 1))[None].to(self.module.device) for n, total in totals.items()}

    def attributions(
        self, minibatch: Minibatch, baseline: Mapping[str, Tensor]
    ) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
        """By source how far its cells lie from the baseline, and their attributions, each ``(n_m, G_m)``."""
        # The first layer is linear: gradients are integrated behind it, where they are few, and carried through it after.
        shown = {name: self.module.encoder_input(name, minibatch) for name in self.sources}
        gradients = self._integrated(minibatch, shown, baseline)
        for name, gradient in gradients.items():
            if len(minibatch.rows[name]):
                moved = dense(shown[name]) - baseline[name]
                weight = self.module.encoders[name].input.weight.detach()
                yield name, (moved, moved * (minibatch.take(name, gradient) @ weight.mT))

    def _integrated(
        self, minibatch: Minibatch, shown: Mapping[str, Tensor | SparseRows], baseline: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Mean gradient of the target along the way, by what leaves each source's first layer, ``(C, H)``."""
        ends, starts = [], []
        with torch.no_grad():
            for name in self.sources:
                first = self.module.encoders[name].input
                start = first(baseline[name]).expand(len(minibatch), -1)
                ends.append(_placed(minibatch, name, first(shown[name]), start))
                starts.append(start)
        rows = torch.arange(len(minibatch), device=starts[0].device)
        at = lambda *given: self._value(minibatch, given[:-1], given[-1])
        inputs = tuple(end.requires_grad_() for end in ends)
        size = max(self.at_once, len(minibatch))
        found = self.gradients(at, multiply_by_inputs=False).attribute(
            inputs, tuple(starts), additional_forward_args=(rows,), n_steps=self.n_steps, internal_batch_size=size
        )
        return dict(zip(self.sources, found, strict=True))

    def _value(self, minibatch: Minibatch, hidden: Sequence[Tensor], rows: Tensor) -> Tensor:
        """The target at ``hidden``, by source, of cells in these rows of the minibatch, ``(n_rows,)``."""
        given, normals = dict(zip(self.sources, hidden, strict=True)), {}
        for name, width in self.module.fusion.n_latent.items():
            none = hidden[0].new_zeros(len(rows), width)
            normals[name] = Normal(none, 1 + none, validate_args=False)
            if name in given:
                encoder = self.module.encoders[name]
                normals[name] = encoder.posterior(encoder.first(given[name]))
        seen = torch.tensor([name in given for name in normals], device=rows.device)
        posteriors = Posteriors.masked(normals, minibatch.present[rows] & seen)
        return self.target(posteriors, minibatch.covariates.take(rows))


def _captum() -> Any:
    """Captum's integrated gradients."""
    try:
        from captum.attr import IntegratedGradients
    except ModuleNotFoundError as error:
        msg = 'Expected captum for attributions; it is not installed. Run pip install "mmvae[explain]".'
        raise ModuleNotFoundError(msg) from error
    return IntegratedGradients


def _sources(reader: Reader, own: str | None, given: Sequence[str] | None) -> list[str]:
    """Modalities to explain by, in the model's order."""
    if given is None:
        others = [name for name in reader.names if name != own]
        return others or reader.names
    wanted = {reader.modality(name) for name in listed("sources", given)}
    if not wanted:
        msg = f"Expected sources among {reader.names}; got none. Name one."
        raise ValueError(msg)
    return [name for name in reader.names if name in wanted]


def _placed(minibatch: Minibatch, name: str, values: Tensor, elsewhere: Tensor) -> Tensor:
    """Values of the cells that have a modality at their places, ``(C, H)``; ``elsewhere`` in the others."""
    rows = minibatch.rows[name]
    return values if len(rows) == len(minibatch) else elsewhere.index_copy(0, rows, values)
