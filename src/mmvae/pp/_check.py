"""What the set-up would take of the data, without taking it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae.data import SetupArguments, check_setup_arguments, inspect, matrices_of, print_setup
from mmvae.train import memory_note


def check(
    data: MuData | AnnData,
    *,
    batch_key: str | Sequence[str] | None = None,
    labels_key: str | None = None,
    categorical_covariate_keys: Sequence[str] | None = None,
    continuous_covariate_keys: Sequence[str] | None = None,
    size_factor_keys: Mapping[str, str] | None = None,
    layers: Mapping[str, str | None] | None = None,
    likelihoods: Mapping[str, Any] | None = None,
    modalities: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Print what :meth:`~mmvae.MultiVAE.setup_mudata` would take, and change nothing.

    Parameters
    ----------
    data
        MuData, or AnnData as a MuData of one modality called ``"rna"`` unless ``modalities`` says otherwise.
    batch_key, labels_key, categorical_covariate_keys, continuous_covariate_keys
        As in :meth:`~mmvae.MultiVAE.setup_mudata`.
    size_factor_keys, layers, likelihoods, modalities
        As in :meth:`~mmvae.MultiVAE.setup_mudata`.

    Returns
    -------
    One row per modality, with columns ``modality``, ``cells``, ``features``, ``layer``, ``likelihood`` and ``why``.
    ``attrs["notes"]`` lists what is not wrong but should be known, a sentence each.

    Raises
    ------
    SetupError
        If the data have faults; the message lists all of them.
    TypeError
        If ``data`` is neither MuData nor AnnData.

    Examples
    --------
    >>> mdata = mmvae.datasets.simulate(500, missing=0.3)
    >>> table = mmvae.pp.check(mdata, batch_key="batch")
    >>> table.attrs["notes"]
    []
    """
    given = {name: value for name, value in locals().items() if name != "data"}
    check_setup_arguments(given)
    setup = inspect(data, SetupArguments.of(given))
    # Where a modality cannot be read at all, there is no table of what would be taken.
    if setup.presence is not None and setup.presence.shape[1] == len(setup.modalities):
        print_setup(setup)
        print(memory_note(data.n_obs, matrices_of(data, setup)))
    setup.raise_faults()
    frame = pd.DataFrame(
        [(m.name, m.n_cells, m.n_features, m.layer or "X", m.likelihood_name, m.why) for m in setup.modalities],
        columns=["modality", "cells", "features", "layer", "likelihood", "why"],
    )
    frame.attrs["notes"] = list(setup.notes)
    return frame
