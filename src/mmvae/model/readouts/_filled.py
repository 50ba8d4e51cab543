"""Whether latents that are filled in are as sure as they should be. C cells, D_m dimensions of modality m."""

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.distributions import Normal

from mmvae.analysis import of_mixture, squared_residual
from mmvae.fusion import Fusion, Posteriors
from mmvae.model._reader import Reader
from mmvae.train import seeded

from ._posteriors import CERTAIN

N_DRAWS = 16
COLUMNS = ["target", "sources", "n_cells", "residual"]


@torch.inference_mode()
def filled_residuals(reader: Reader, cells: np.ndarray) -> pd.DataFrame:
    """Of the latent of each modality, filled in from another one and from all others, in cells that have them.

    A row for each choice with the number of cells and the mean squared standardised residual of a draw of the cells' own
    posterior; no row where the latents are one, which nothing fills.
    """
    fusion = reader.module.fusion
    if not fusion.split(torch.zeros(1, fusion.n_output)):
        return pd.DataFrame(columns=COLUMNS)
    read = Posteriors.together([posteriors for _, posteriors in reader.posteriors(None, cells)])
    rows = []
    with seeded(0):
        for target, sources in _choices(reader.names):
            has = read.encoded[:, [reader.names.index(name) for name in (target, *sources)]].all(dim=1)
            if bool(has.any()):
                residual = _residual(fusion, _of(read, has), target, sources)
                rows.append([target, "+".join(sources), int(has.sum()), residual])
    return pd.DataFrame(rows, columns=COLUMNS)


def _choices(names: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each modality with each other one, and with all others if these are several."""
    for target, source in permutations(names, 2):
        yield target, (source,)
    if len(names) > 2:
        for target in names:
            yield target, tuple(name for name in names if name != target)


def _of(posteriors: Posteriors, cells: Tensor) -> Posteriors:
    """Those of some cells."""
    normals = {n: Normal(q.loc[cells], q.scale[cells], validate_args=False) for n, q in posteriors.normals.items()}
    return Posteriors(normals, posteriors.encoded[cells])


def _residual(fusion: Fusion, posteriors: Posteriors, target: str, sources: tuple[str, ...]) -> float:
    """Of draws of the target's own posterior from what draws of the sources say of it."""
    seen = torch.tensor([name in sources for name in posteriors.normals], device=posteriors.encoded.device)
    kept = seen.expand_as(posteriors.encoded)
    own, means, variances = posteriors.normals[target], [], []
    for _ in range(N_DRAWS):
        places = {name: q.sample() for name, q in posteriors.normals.items()}
        drawn = {n: Normal(z, torch.full_like(z, CERTAIN), validate_args=False) for n, z in places.items()}
        filled = fusion.unimodal_posterior(target, Posteriors.masked(drawn, kept))
        means.append(filled.loc.cpu().numpy())
        variances.append(filled.variance.cpu().numpy())
    together = of_mixture(np.stack(means), np.stack(variances))
    return squared_residual(own.loc.cpu().numpy(), own.variance.cpu().numpy(), *together)
