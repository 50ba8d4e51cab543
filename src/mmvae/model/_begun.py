"""What a training is begun with, in words, so that one that was saved is gone on with by the same."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import numpy as np
from scvi import REGISTRY_KEYS
from torch import Tensor

from mmvae._keys import layer_key
from mmvae.train import NEW, OF_WEIGHTS, Course, Schedule, Snapshot

from ._cells import Cells, OwnCells
from ._data import DataAccess
from ._reader import features_of

# Arguments of the trainer that do not change what it comes to, or not more than another machine does.
OF_NO_MATTER = {
    "accelerator",
    "devices",
    "tf32",
    "num_sanity_val_steps",
    "enable_progress_bar",
    "progress_bar_refresh_rate",
    "simple_progress_bar",
    "enable_model_summary",
    "default_root_dir",
    "log_save_dir",
}

# What follows from others, and would only be a second difference.
FOLLOWING = {"plan", "steps", "early", "late", "n_cells", "log_every_n_steps"}


def begun_with(
    model: DataAccess, cells: Cells, schedule: Schedule, options: Mapping[str, Any], seed: int, weights: str
) -> dict[str, str]:
    """By name what the model, the data and the training are, as texts that can be compared."""
    settings = model.init_params_["non_kwargs"] | asdict(schedule) | schedule.plan
    settings |= {
        name: value for name, value in options.items() if name not in OF_NO_MATTER and _is_number_or_text(value)
    }
    settings["seed of the training"] = seed
    found = {n: json.dumps(v, sort_keys=True, default=repr) for n, v in settings.items() if n not in FOLLOWING}
    return found | dict(_of_data(model, cells)) | {OF_WEIGHTS: weights}


def weights_before(course: Course, before: Snapshot) -> str:
    """Which weights the training goes on from."""
    is_new = course.starts_anew or not before.attributes["is_trained_"]
    return NEW if is_new else f"one of weights {_digest(*before.weights.values())}"


def _of_data(model: DataAccess, cells: Cells) -> Iterator[tuple[str, str]]:
    for name, features in features_of(model.registry_, model.module.names).items():
        yield f"features of '{name}'", f"{len(features)} ({_digest(*features)})"
    if not isinstance(cells, OwnCells):
        yield "number of cells", f"{cells.n_train}"
        return
    yield "cells", f"{cells.n_cells} ({cells.digest[:8]})"
    for what, part in zip(("training", "validation", "test"), cells.parts, strict=True):
        yield f"{what} cells", f"{len(part)} ({_digest(part)})"
    yield "what cells have", _digest(cells.presence)
    for name, (statistics, _) in cells.summaries().items():
        yield f"mean value of '{name}'", f"{float(statistics.mean.double().mean()):.6g}"
    layers = set(map(layer_key, model.module.names))
    for key in cells.manager.data_registry:
        if key not in layers and key != REGISTRY_KEYS.MINIFY_TYPE_KEY:
            yield f"column '{key}'", _digest(np.asarray(cells.manager.get_from_registry(key)))


def _is_number_or_text(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _digest(*parts: Any) -> str:
    found = sha256()
    for part in parts:
        is_tensor = isinstance(part, Tensor)
        found.update(
            str(part).encode() if isinstance(part, str) else np.asarray(part.cpu() if is_tensor else part).tobytes()
        )
    return found.hexdigest()[:8]
