"""What a user passes to `setup_mudata`, in one value."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

SEQUENCES = {"batch_key", "categorical_covariate_keys", "continuous_covariate_keys", "prior_covariate_keys"}


@dataclass(frozen=True)
class SetupArguments:
    """Arguments of :meth:`~mmvae.MultiVAE.setup_mudata`; sequences as tuples."""

    batch_key: tuple[str, ...] = ()
    labels_key: str | None = None
    unlabeled_category: str = "unknown"
    categorical_covariate_keys: tuple[str, ...] = ()
    continuous_covariate_keys: tuple[str, ...] = ()
    prior_covariate_keys: tuple[str, ...] = ()
    size_factor_keys: Mapping[str, str] | None = None
    layers: Mapping[str, str | None] | None = None
    likelihoods: Mapping[str, Any] | None = None
    modalities: Mapping[str, str] | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From the arguments of ``setup_mudata`` or ``setup_anndata``; others are ignored."""
        given = dict(given)
        if (name := given.get("modality")) is not None:
            given["modalities"] = {name: name}
            for argument in ("layer", "likelihood", "size_factor_key"):
                if given.get(argument) is not None:
                    given[f"{argument}s"] = {name: given[argument]}
        for argument in SEQUENCES & set(given):
            value = given[argument]
            given[argument] = (value,) if isinstance(value, str) else tuple(value or ())
        return cls(**{f.name: given[f.name] for f in fields(cls) if f.name in given})

    @property
    def chosen(self) -> Mapping[str, Any]:
        """Likelihood of each modality; empty until the set-up has chosen them."""
        return self.likelihoods or {}
