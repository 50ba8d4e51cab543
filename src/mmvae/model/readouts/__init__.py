"""What a trained model tells of cells: functions of a reader."""

from ._components import mixture_latents, prior_summary, responsibilities
from ._contributions import leave_one_out, modality_information
from ._expression import Request, expected_values, imputed_values
from ._labels import label_probabilities, remember_labelled
from ._latent import (
    LatentRequest,
    check_representation,
    latent_representation,
    shared_representation,
    shared_subspace,
)
from ._priors import check_prior, outlier_scores, sample
from ._reliability import measure_reliability, weighted
from ._space import spatial_spectrum
