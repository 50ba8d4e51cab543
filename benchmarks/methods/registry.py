"""The methods that are compared, by name, and which tasks and seeds they take."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.tasks import COMPLETE, TASKS

if TYPE_CHECKING:
    from .outcome import Method


class Entry(NamedTuple):
    """Where a method's function is, what to load before memory is measured, the tasks, and whether seeds matter.

    ``settings`` are further arguments of the function.
    """

    function: str
    imports: tuple[str, ...]
    packages: tuple[str, ...]
    tasks: tuple[str, ...] = TASKS
    seeded: bool = True
    settings: dict[str, Any] = {}

    def load(self) -> Method:
        """The function, with everything that it imports."""
        for name in self.imports:
            import_module(name)
        module, function = self.function.split(":")
        return partial(getattr(import_module(f"{__package__}.{module}"), function), **self.settings)


_SCVI = ("scvi", "scvi.model")
_TORCH = ("scvi-tools", "torch")
WHOLE = (COMPLETE,)
PEERS = {
    "mmvae": Entry("_mmvae:run_mmvae", (*_SCVI, "mmvae.model"), ("mmvae", *_TORCH)),
    "pca": Entry("_linear:run_pca", (), ("scikit-learn",), seeded=False),
    "wnn": Entry("_linear:run_wnn", ("muon",), ("muon",), tasks=WHOLE, seeded=False),
    "mofa": Entry("_linear:run_mofa", ("mofapy2.run.entry_point",), ("mofapy2",)),
    "scvi": Entry("_scvi:run_scvi", _SCVI, _TORCH, tasks=WHOLE),
    "totalvi": Entry("_scvi:run_totalvi", _SCVI, _TORCH, tasks=WHOLE),
    "multivi": Entry("_scvi:run_multivi", _SCVI, _TORCH),
    "multigrate": Entry("_multigrate:run_multigrate", ("multigrate", "muon"), ("multigrate", *_TORCH)),
}

# Ways that mmvae might have gone, each away from its defaults in one respect.
DESIGNS: dict[str, dict[str, Any]] = {
    "default": {},
    "input dropout 0.1": {"input_dropout": 0.1},
    "input dropout 0.5": {"input_dropout": 0.5},
    "prior normal": {"prior": "normal"},
    "prior coupled": {"prior": "coupled"},
    "prior mmvm": {"prior": "mmvm"},
    "fusion poe": {"fusion": "poe", "n_latent": 15},
    "fusion moe": {"fusion": "moe", "n_latent": 15},
    "fusion mopoe": {"fusion": "mopoe", "n_latent": 15},
    "fusion attention": {"fusion": "attention"},
    "kl_scale 2": {"kl_scale": 2.0},
    "kl_scale 4": {"kl_scale": 4.0},
    "no batch adversary": {"batch_adversary": 0.0},
    "batch adversary 3": {"batch_adversary": 3.0},
    "batch adversary 30": {"batch_adversary": 30.0},
    "modality dropout 0.5": {"modality_dropout": 0.5},
    "n_latent 20": {"n_latent": 20},
    "sampled peaks": {"likelihoods": {"atac": {"name": "poisson", "n_sampled": 2_000}}},
}
READOUTS = ("fused", "unweighted")
# Those that are run on a quarter of a million cells, of which few have more than protein.
LARGE = {
    "mmvae": PEERS["mmvae"]._replace(settings={"readouts": ("fused", "unweighted", "shared")}),
    "harmony": Entry("_linear:run_harmony", ("harmonypy",), ("scikit-learn", "harmonypy")),
    **{name: PEERS[name] for name in ("pca", "totalvi", "multivi")},
}
METHODS = PEERS | {
    name: PEERS["mmvae"]._replace(settings={"settings": design, "readouts": READOUTS})
    for name, design in DESIGNS.items()
}
