"""Checks of what a user passes to `train`."""

from collections.abc import Mapping
from typing import Any

from mmvae._checks import COUNT, COUNT_OR_ZERO, POSITIVE, SHARE, SHARE_ABOVE_0, check_numbers

from ._plan import NUMBERS, OTHERS

TAKES = {
    "max_epochs": COUNT,
    "batch_size": COUNT,
    "lr": POSITIVE,
    "train_size": SHARE_ABOVE_0,
    "validation_size": SHARE,
    "early_stopping_patience": COUNT,
    "seed": COUNT_OR_ZERO,
}


def check_arguments(plan: Mapping[str, Any], **given: Any) -> None:
    """Refuse numbers that training cannot take, and arguments that the training plan does not know.

    Parameters
    ----------
    plan
        Arguments of the training plan.
    **given
        Numbers, by the names of ``train``'s arguments; ``None`` is a default.

    Raises
    ------
    ValueError
        With a sentence for each.
    """
    of_plan = {f"plan_kwargs['{name}']": plan[name] for name in NUMBERS if name in plan}
    takes = TAKES | {f"plan_kwargs['{name}']": number for name, number in NUMBERS.items()}
    known = [*NUMBERS, *OTHERS]
    unknown = [name for name in plan if name not in known]
    faults = [f"Expected plan_kwargs among {known}; got {unknown}."] if unknown else []
    check_numbers(takes, faults, **given, **of_plan)
