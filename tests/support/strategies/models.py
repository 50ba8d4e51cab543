"""Arguments of a model and of its training that suit the data."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mmvae.fusion import Fusion
from mmvae.priors import Prior

FUSIONS = sorted(Fusion.registry)
SEPARATE = ("concat", "attention")  # fusions with a latent for each modality


@st.composite
def models(draw: st.DrawFn, modalities: list[str], known: set[str]) -> dict[str, Any]:
    """Arguments of ``MultiVAE``; ``known`` says what the data have of ``labels``, ``covariates`` and a ``graph``."""
    fusion = draw(st.sampled_from(["concat", *FUSIONS]))
    prior = draw(_priors(fusion, modalities, known))
    named = set(prior.values()) if isinstance(prior, dict) else {prior}
    equal = fusion not in SEPARATE or "mmvm" in named
    width = st.integers(2 if "flow" in named else 1, 3)
    n_latent = draw(width if equal else st.one_of(width, st.fixed_dictionaries(dict.fromkeys(modalities, width))))
    share = st.sampled_from([0.0, 0.1, 0.5])
    optional = {
        "dropout_rate": share,
        "input_dropout": st.one_of(share, st.fixed_dictionaries({modalities[0]: share})),
        "modality_dropout": st.sampled_from([0.0, 0.3, 0.9]),
        "modality_weights": st.one_of(st.just(2.0), st.just({modalities[-1]: 0.01})),
        "kl_scale": st.sampled_from([0.0, 0.5, 10.0]),
        "batch_adversary": st.sampled_from([0.0, 1.0, 100.0]),
        "n_layers": st.integers(1, 2),
        "seed": st.integers(0, 2**32 - 1),
    }
    given = {"fusion": fusion, "n_latent": n_latent, "n_hidden": draw(st.integers(1, 5))}
    given |= {} if prior is None else {"prior": prior}
    return given | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def _priors(draw: st.DrawFn, fusion: str, modalities: list[str], known: set[str]) -> Any:
    """A prior for all latents, by its name or as a mapping, one for each modality, or none."""
    needs = {"labels": "labels", "conditional": "covariates", "gmrf": "graph"}
    suitable = [
        name
        for name, kind in sorted(Prior.registry.items())
        if needs.get(name, "nothing") in (known | {"nothing"})
        and (fusion in SEPARATE or not (kind.needs_encoder or kind.needs_posteriors or kind.is_joint))
    ]
    name = draw(st.sampled_from([None, *suitable]))
    if name == "mog" and draw(st.booleans()):
        return {"name": "mog", "n_components": draw(st.integers(1, 5))}
    own = [each for each in suitable if not Prior.registry[each].is_joint]
    if fusion in SEPARATE and name in own and draw(st.booleans()):
        return {each: draw(st.sampled_from(own)) for each in modalities}
    return name


@st.composite
def trainings(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of ``train``, of two epochs at the most."""
    optional = {
        "batch_size": st.sampled_from([1, 3, 7, 1000]),
        "train_size": st.sampled_from([0.5, 0.8, 1.0]),
        "lr": st.sampled_from([1e-4, 1e-2]),
        "early_stopping": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
        "plan_kwargs": st.sampled_from([{"n_epochs_kl_warmup": 1}, {"weight_decay": 1e-3}, {"loading_sd": None}]),
    }
    return {"max_epochs": draw(st.integers(1, 2))} | draw(st.fixed_dictionaries({}, optional=optional))
