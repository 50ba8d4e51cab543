"""Whether a trained model can be relied on, on one page. C cells, M modalities, G_m features."""

import html
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from torch import Tensor

from mmvae._checks import COUNT, check_numbers
from mmvae._printing import printable
from mmvae.analysis import certain_shares, told_apart
from mmvae.data import confounding_notes, pattern_names
from mmvae.model._cells import OwnCells
from mmvae.model._data import DataAccess
from mmvae.model._reader import Reader, has_values
from mmvae.train import (
    MINIMUM_NATS,
    MONITOR,
    collapse_notes,
    metric,
    objective_notes,
    overtraining_notes,
    prior_notes,
)

from ._effects import some_cells
from ._explained import Deviances, deviances, held_out, nothing_known
from ._filled import filled_residuals
from ._posteriors import UnimodalPosterior, by_modality, fused_means
from ._priors import prior_fits
from ._verdict import (
    FEWEST_CELLS,
    NO_VALUES,
    explained_notes,
    few_cells_notes,
    filled_notes,
    held_out_notes,
    inactive_notes,
    prior_fit_notes,
    separation_notes,
    weight_notes,
)
from ._weights import weighted

ACTIVE = 0.01  # of a dimension's variance
N_CELLS, N_SEPARATED = 1_000, 2_000
FINE = "Nothing amiss was found."


@dataclass(frozen=True)
class Diagnosis:
    """What :meth:`~mmvae.MultiVAE.diagnose` measured, and what it makes of it.

    Printed, it shows ``modalities``, ``filled``, ``separation``, how far draws of the priors are told from cells, and the
    verdict.
    """

    verdict: tuple[str, ...]
    """Findings in words, each with what to do; empty where nothing is amiss."""
    modalities: pd.DataFrame
    """By modality: the cells that were measured, nats per cell that its latent carries, active dimensions and all, share of
    the deviance that is explained and the median share over features, weight in the fused latent."""
    dimensions: pd.DataFrame
    """By modality and dimension: share of the variance that is of the posterior means, and whether that makes it active."""
    features: pd.DataFrame
    """By modality and feature: share of the deviance that is explained."""
    filled: pd.DataFrame
    """Latents filled in from others: cells, and mean squared standardised residual, which should be 1."""
    separation: pd.Series
    """How far nearest neighbours in the fused latent tell a cell's batch and missing pattern, 0 to 1."""
    priors: pd.DataFrame
    """Whether draws of the priors look like cells, as :meth:`~mmvae.MultiVAE.check_prior` gives it."""

    def __str__(self) -> str:
        verdict = [f"{i}. {line}" for i, line in enumerate(self.verdict, 1)] or [FINE]
        tables = [self.modalities.round(3).to_string(), *self._small_tables()]
        return printable("\n\n".join([*tables, "\n".join(verdict)]), keep="\n")

    def _small_tables(self) -> list[str]:
        filled = [] if self.filled.empty else [self.filled.round(2).to_string(index=False)]
        told = _listed(self.separation)
        filled += [f"Told by neighbours in the fused latent, from 0 to 1: {told}"] if told else []
        told = _listed(self._told_from_cells())
        return filled + ([f"Draws of the priors told from cells (AUC, from 0.5 to 1): {told}"] if told else [])

    def _told_from_cells(self) -> pd.Series:
        return self.priors.set_index("latent")["auc"]

    def _repr_html_(self) -> str:
        verdict = "".join(f"<li>{html.escape(line)}</li>" for line in self.verdict or [FINE])
        filled = "" if self.filled.empty else self.filled.round(2).to_html(index=False)
        separation = self.separation.dropna().round(2).to_frame("told by neighbours").to_html()
        told = self._told_from_cells().dropna().round(2).to_frame("draws of the prior told from cells").to_html()
        return f"<ol>{verdict}</ol>{self.modalities.round(3).to_html()}{filled}{separation}{told}"


def _listed(values: pd.Series) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.dropna().items())


def in_short(model: DataAccess) -> str:
    """What a training came to: the nats of :meth:`DiagnosisMethods.diagnose`, or of training cells where there are no data."""
    best = model.best_epoch_  # type: ignore[attr-defined]
    holds = "" if best is None else f"The model holds the weights of epoch {best}. "
    if model.adata is None:
        found = {name: metric(model.history_ or {}, f"kl_{name}_train") for name in model.module.priors}
        # A training after the one that the weights are of may have led to nothing better.
        kept = {name: values.get(best, values.iloc[-1]) for name, values in found.items() if len(values)}
        nats, words = pd.Series(kept), "training cells"
    else:
        reader = Reader(model)
        cells, is_held_out = _looked_at(reader)
        nats = _nats(reader, cells).mean()
        words = f"{len(cells):,} {'held-out cells' if is_held_out else 'cells, most of which were trained on'}"
    listed = ", ".join(f"{name} {value:.1f}" for name, value in nats.items())
    return f"{holds}Nats per cell that its latents carry, in {words}: {listed}. model.diagnose() says how far to rely on it."


class DiagnosisMethods(DataAccess):
    """What can be said of a trained model as a whole."""

    def diagnose(self, n_cells: int = N_CELLS) -> Diagnosis:
        r"""Whether the model can be relied on: what was measured, and a verdict in words with what to do.

        On cells that were held out in training, those to test on or else to validate on (which chose the epoch that is kept);
        where there are fewer than 20, on all. Of minified data all is known but what is explained. What is looked at:

        - **training**: whether the validation ELBO improved, and whether the epoch that is kept has lost much of what an
          earlier one had gained;
        - **collapse**: nats per cell that each latent carries (:meth:`get_modality_information`), and its active dimensions,
          those of whose variance more than 1% is of the posterior means :cite:p:`Burda2016`;
        - **deviance explained** of each modality and feature, beside the mean model (:meth:`get_deviance_explained`);
        - **confounding**: how well the 15 nearest neighbours in the fused latent tell a cell's batch and what it lacks, in
          2,000 cells (0: no better than guessing; 1: always), and whether the two coincide;
        - **fills**: whether the latent of a modality filled in from others is as sure as it should be, in cells that have both;
        - **priors**: whether their draws look like cells (:meth:`check_prior`);
        - **weights** of the modalities in the fused latent.

        ``docs/diagnosis.md`` says how to read it.

        Parameters
        ----------
        n_cells
            Held-out cells to use at most, at random, always the same ones.

        Returns
        -------
        A :class:`~mmvae.Diagnosis`, which can be printed.

        Examples
        --------
        >>> print(model.diagnose())
        """
        check_numbers({"n_cells": COUNT}, n_cells=n_cells)
        reader = Reader(self)
        cells, is_held_out = _looked_at(reader, n_cells)
        knows_values = has_values(reader.data())
        found = deviances(reader, None, cells, by_dimension=False) if knows_values else nothing_known(self.module, 0)
        features, explained = _shares(reader, found)
        dimensions, separation = _dimensions(reader, cells), _separation(reader)
        filled, modalities = filled_residuals(reader, cells), _modalities(reader, cells, dimensions, explained)
        priors = prior_fits(reader)
        verdict = [
            *held_out_notes(is_held_out, is_training_data=reader.has_training_data),
            *([] if knows_values else [NO_VALUES]),
            *_training_notes(reader),
            *_modality_notes(modalities),
            *filled_notes(filled.itertuples(index=False, name=None)),
            *prior_fit_notes(_own_priors(reader, priors).itertuples(index=False, name=None)),
            *separation_notes(dict(separation)),
            *_confounding_notes(reader),
        ]
        return Diagnosis(tuple(verdict), modalities, dimensions, features, filled, separation, priors)


def _looked_at(reader: Reader, n_cells: int = N_CELLS) -> tuple[np.ndarray, bool]:
    """Cells to go by, and whether they were held out."""
    cells, is_held_out = held_out(reader)
    return some_cells(reader, None, cells, n_cells), is_held_out


def _nats(reader: Reader, cells: np.ndarray) -> pd.DataFrame:
    """Nats of each cell that each modality's latent carries."""
    reader.model._fill_graphs(reader.data())
    return pd.DataFrame(by_modality(reader, UnimodalPosterior.information, None, cells), columns=reader.names)


def _modalities(reader: Reader, cells: np.ndarray, dimensions: pd.DataFrame, explained: pd.DataFrame) -> pd.DataFrame:
    nats = _nats(reader, cells)
    is_active = dimensions.groupby("modality", sort=False)["is_active"]
    fusion, memory = reader.module.fusion, reader.model.memory
    weights = memory.weights if fusion.split(torch.zeros(1, fusion.n_output)) else None
    columns = {"n_cells": nats.count(), "nats": nats.mean(), "active": is_active.sum(), "n_latent": is_active.size()}
    return (
        pd.DataFrame(columns, index=reader.names).join(explained).assign(weight=pd.Series(weights or {}, dtype=float))
    )


def _shares(reader: Reader, found: Mapping[str, Deviances]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Deviance explained of each feature, and by modality of all and the median over features."""
    of_features = pd.concat(
        {n: pd.DataFrame({"explained": own.by_feature()}, index=reader.features(n)) for n, own in found.items()},
        names=["modality", "feature"],
    )
    columns = {
        "explained": {name: own.share() for name, own in found.items()},
        "explained_of_a_feature": of_features["explained"].groupby("modality").median(),
    }
    return of_features, pd.DataFrame(columns)


@torch.inference_mode()
def _dimensions(reader: Reader, cells: np.ndarray) -> pd.DataFrame:
    """Share of each dimension's variance that is of the posterior means, in the cells that have the modality."""
    read: dict[str, list[Tensor]] = {name: [] for name in reader.names}
    for minibatch, posteriors in reader.posteriors(None, cells):
        for name, own in read.items():
            q = reader.module.fusion.unimodal_posterior(name, posteriors)
            own.append(minibatch.take(name, torch.stack([q.loc, q.variance], dim=1)).double())
    rows = []
    for name, own in read.items():
        means, variances = torch.cat(own).unbind(dim=1)
        shares = certain_shares(means, variances).cpu().numpy() if len(means) else np.nan
        width = range(means.shape[1])
        rows.append(pd.DataFrame({"modality": name, "dimension": width, "certain": shares}))
    return pd.concat(rows, ignore_index=True).assign(is_active=lambda found: found["certain"] > ACTIVE)


def _separation(reader: Reader) -> pd.Series:
    """How far batch and missing pattern can be told by place in the fused latent."""
    data = reader.data()
    cells, presence = reader.cells(data, np.random.default_rng(0).permutation(data.n_obs)[:N_SEPARATED])
    fused = weighted(reader.module.fusion, reader.model.memory, fused_means(reader, None, cells)).numpy()
    batch, pattern = reader.codes(REGISTRY_KEYS.BATCH_KEY)[cells], pattern_names(presence, reader.names)
    return pd.Series({"batch": told_apart(fused, batch), "pattern": told_apart(fused, pattern)})


def _own_priors(reader: Reader, priors: pd.DataFrame) -> pd.DataFrame:
    """The rows of what priors should know: not how latents go together that have one each."""
    return priors[priors["latent"].isin(reader.latents(None))] if len(reader.module.priors) > 1 else priors


def _training_notes(reader: Reader) -> list[str]:
    """What training itself would say."""
    model = reader.model
    objective = metric(model.history_ or {}, MONITOR).dropna()
    by_epoch = dict(zip(objective.index.astype(int), objective, strict=True))
    best = getattr(model, "best_epoch_", None)
    by_heart = overtraining_notes(by_epoch, best if best in by_epoch else None)
    return [*objective_notes(objective), *by_heart, *prior_notes(model.module.priors)]


def _modality_notes(modalities: pd.DataFrame) -> list[str]:
    told = modalities[modalities["n_cells"] >= FEWEST_CELLS]
    carrying = told[told["nats"] >= MINIMUM_NATS]
    return [
        *few_cells_notes(dict(modalities["n_cells"])),
        *collapse_notes(dict(told["nats"])),
        *inactive_notes(dict(carrying["active"]), dict(carrying["n_latent"])),
        *explained_notes(dict(told["explained"])),
        *weight_notes(dict(modalities["weight"])),
    ]


def _confounding_notes(reader: Reader) -> list[str]:
    none = np.array([], dtype=int)
    batch, patterns = OwnCells(reader.model, (none, none, none)).batch_and_patterns()
    return [] if batch is None else confounding_notes(batch, patterns)
