"""Defaults that follow the number of cells."""

from dataclasses import dataclass

SMALL, MEDIUM = 3_000, 30_000


@dataclass(frozen=True)
class Defaults:
    """Sizes and schedule for a number of cells.

    Those below 3,000 cells were chosen on public sets of 220 to 1,262 cells, complete and mosaic, with their labels in
    view (``docs/evidence.md``). Those above follow scvi-tools' heuristics, and were tried on one set of 10,309.
    """

    n_latent: int
    n_hidden: int
    n_layers: int
    dropout_rate: float
    batch_size: int
    max_epochs: int
    lr: float


def defaults_for(n_cells: int) -> Defaults:
    """Defaults for ``n_cells`` training cells."""
    if n_cells < SMALL:
        return Defaults(10, 128, 1, 0.1, 128, 200, 2e-3)
    if n_cells < MEDIUM:
        return Defaults(15, 128, 2, 0.1, 128, max(40, min(200, 500_000 // n_cells)), 1e-3)
    return Defaults(20, 256, 2, 0.1, 256, max(20, min(50, 1_500_000 // n_cells)), 1e-3)
