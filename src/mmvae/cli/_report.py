"""Tables of a demo's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mmvae._keys import FUSED, SHARED, embedding_key

from ._scores import accuracy, correlation, mixing, recovered

if TYPE_CHECKING:
    from mudata import MuData

    from mmvae.model import MultiVAE

ALONE = "rna"


def print_scores(model: MultiVAE, mdata: MuData) -> None:
    """Score embeddings and predictions against the truth, and print two tables."""
    console = Console()
    console.print(_embedding_table(mdata))
    console.print(_prediction_table(model, mdata))


def _embedding_table(mdata: MuData) -> Table:
    keys = [embedding_key(FUSED), embedding_key(SHARED)]
    table = Table(title="Embeddings against the truth")
    table.add_column("score")
    for key in keys:
        table.add_column(key, justify="right")
    table.add_column("best")
    columns = {key: _embedding_scores(mdata, key) for key in keys}
    for name, best in _MEANING.items():
        table.add_row(name, *(f"{columns[key][name]:.2f}" for key in keys), best)
    return table


_MEANING = {
    "shared factors, R²": "1",
    f"... of cells with {ALONE} alone": "1",
    "clusters, kNN accuracy": "1",
    "mixing of batches": "1: as if shuffled",
    "mixing of missing patterns": "1: as if shuffled",
}


def _embedding_scores(mdata: MuData, key: str) -> dict[str, float]:
    embedding, truth, obs = mdata.obsm[key], mdata.obsm["shared"], mdata.obs
    alone = (obs["pattern"] == ALONE).to_numpy()
    values = (
        recovered(embedding, truth),
        recovered(embedding[alone], truth[alone]),
        accuracy(embedding, obs["cluster"]),
        mixing(embedding, obs["batch"], obs["cluster"]),
        mixing(embedding, obs["pattern"], obs["cluster"]),
    )
    return dict(zip(_MEANING, values, strict=True))


def _prediction_table(model: MultiVAE, mdata: MuData) -> Table:
    table = Table(title="Predictions for cells that lack a modality", caption="0: no better than the mean profile")
    table.add_column("modality")
    table.add_column("cells", justify="right")
    table.add_column("correlation with the true rates", justify="right")
    for name in model.modalities:
        lacking = ~mdata.obs_names.isin(mdata.mod[name].obs_names)
        # The true rates are without batch effect: all cells are decoded as if from one batch.
        batch = mdata.obs["batch"].cat.categories[0]
        predicted = model.impute(name, transform_batch=batch).to_numpy()
        rates = mdata.obsm[f"rate_{name}"][lacking]
        table.add_row(name, f"{lacking.sum():,}", f"{correlation(predicted, rates):.2f}")
    return table
