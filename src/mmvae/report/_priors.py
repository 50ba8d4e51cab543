"""Whether the priors fit, and what they have learnt."""

from collections.abc import Iterator

from mmvae.model import MultiVAE

from ._blocks import Block, Table

COMPONENTS, FEATURES = 8, 5
SHOWN = ["component", "label", "weight", "n_cells", "batch_evenness"]


def fits(model: MultiVAE) -> Iterator[Block]:
    """The table of whether draws of the priors look like cells."""
    yield Table(
        model.check_prior(),
        "How well a classifier tells draws of a prior from cells, as the area under its curve: 0.5 not at all, 1 always. "
        "Priors of single modalities know nothing of each other, so that they fail jointly even where each fits.",
    )


def components(model: MultiVAE) -> Iterator[Block]:
    """The tables of the priors' components."""
    summary = model.prior_summary(n_features=FEATURES)
    for latent, rows in summary.groupby("latent", sort=False):
        prior = rows["prior"].iloc[0]
        if "component" not in rows or rows["component"].isna().all():
            continue
        shown = [name for name in map(str, rows) if name in SHOWN or name.startswith("top_")]
        yield Table(
            rows[shown].head(COMPONENTS).dropna(axis="columns", how="all"),
            f"The {min(COMPONENTS, len(rows))} components of prior '{prior}' of the latent '{latent}' that most cells belong "
            f"to, of {len(rows)}; batches are even at 1, and the features are those that set a component apart from the "
            "other cells.",
        )
