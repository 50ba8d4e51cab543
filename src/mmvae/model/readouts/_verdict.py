"""What a diagnosis found amiss, in words, each with what to do. Pure functions of what was measured."""

from collections.abc import Iterable, Mapping

from mmvae.analysis import ROUGHLY

# Of 1, at which a fill is as sure as it should be; and the fewest cells that can tell.
SUREST, LEAST_SURE, FEWEST_CELLS = 2.0, 0.5, 20
APART = 0.5  # of what nearest neighbours could tell of a cell's batch or pattern
LEAST_WEIGHT = 0.05
NO_VALUES = (
    "These data are minified and hold no values: how much of them is explained is not known. Load the model with data with their "
    "values to see it."
)


def explained_notes(share: Mapping[str, float]) -> list[str]:
    """Modalities of which held-out values are not explained, by their share of deviance."""
    return [
        f"Of '{name}' the model explains no more than each feature's mean (deviance explained {value:.3f}): what it learnt "
        "does not carry over to other cells. Take fewer features, those that vary most, and check the layer and the "
        "likelihood."
        for name, value in share.items()
        if value <= 0
    ]


def inactive_notes(active: Mapping[str, int], n_latent: Mapping[str, int]) -> list[str]:
    """Modalities that use less than half of their dimensions."""
    return [
        f"Of the {n_latent[name]} dimensions of '{name}' {n} are active. It does no harm; n_latent={{'{name}': "
        f"{max(n, 1)}}} would do, and if less than expected shows in it, look at its features."
        for name, n in active.items()
        if n < n_latent[name] / 2
    ]


def weight_notes(weights: Mapping[str, float]) -> list[str]:
    """Modalities that hardly count in the fused latent."""
    return [
        f"'{name}' hardly counts in the fused latent (weight {value:.3f}): little of its latent repeats or is told by "
        "another modality. See get_modality_weights(); modality='unweighted' leaves the weights out."
        for name, value in weights.items()
        if value < LEAST_WEIGHT
    ]


def prior_fit_notes(fits: Iterable[tuple[str, int, float, str]]) -> list[str]:
    """Priors whose draws do not look like cells: latent, cells, AUC and verdict of each, as ``check_prior`` gives them."""
    return [
        f"Prior of '{latent}': {words.partition(': ')[2]} (a classifier tells them apart at an AUC of {auc:.2f}). Train for "
        "longer, or give another prior. Latents of cells, and what is decoded from them, are not concerned."
        for latent, _, auc, words in fits
        if auc >= ROUGHLY
    ]


def separation_notes(separation: Mapping[str, float]) -> list[str]:
    """Batches and missing patterns that lie apart in the fused latent."""
    notes = []
    if (value := separation["batch"]) > APART:
        notes.append(
            f"Batches lie apart in the fused latent: nearest neighbours tell a cell's batch at {value:.2f} of the possible. "
            "Where batches hold different cells this is as it should be; where they hold the same, raise batch_adversary, "
            "and look for features that differ by batch alone."
        )
    if (value := separation["pattern"]) > APART:
        notes.append(
            "Cells that lack different modalities lie apart in the fused latent: nearest neighbours tell what a cell has "
            f"at {value:.2f} of the possible. Compare such cells in modality='shared', and read clusters of one "
            "pattern alone with care."
        )
    return notes


def filled_notes(filled: Iterable[tuple[str, str, int, float]]) -> list[str]:
    """Latents that are filled in too surely, or not surely enough: target, sources, cells and residual of each."""
    notes = []
    for target, sources, n_cells, residual in filled:
        if n_cells >= FEWEST_CELLS and not LEAST_SURE <= residual <= SUREST:
            how = "surer than right" if residual > SUREST else "less sure than it could be"
            notes.append(
                f"Of '{target}' filled in from '{sources}' the squared standardised residual is {residual:.2f}, which should "
                f"be 1: it is {how}. Hold out more cells that have both, which tell how sure it may be."
            )
    return notes


def held_out_notes(is_held_out: bool, *, is_training_data: bool = True) -> list[str]:
    """Whether there were cells to measure on that had not been trained on."""
    if not is_training_data:
        return [
            "These data are not those that the model was trained with: what is said of cells is of all of these, and what is "
            "explained is beside their own means. Load the model with its training data to see how it learnt."
        ]
    if is_held_out:
        return []
    return [
        "Fewer than 20 cells of these data were held out in training: what is said is of cells that the model has seen, and "
        "learning by heart does not show. Train with more validation cells, such as train_size=0.8."
    ]


def few_cells_notes(n_cells: Mapping[str, int]) -> list[str]:
    """Modalities that too few of the cells have to say anything of them."""
    return [
        f"Only {n:,} of the cells that were looked at have '{name}', too few to tell how well it is learnt: hold out more, such "
        "as train_size=0.8, and see the values in the table with care."
        for name, n in n_cells.items()
        if n < FEWEST_CELLS
    ]
