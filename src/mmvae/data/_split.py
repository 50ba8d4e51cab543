"""Training, validation and test cells, alike in what they have and where they come from."""

import numpy as np


def split_cells(
    strata: np.ndarray, train_size: float, validation_size: float | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split cells at random within strata.

    Parameters
    ----------
    strata
        Stratum of each cell, such as its missing pattern and batch, ``(n_cells,)``.
    train_size
        Share of the cells to train on, in (0, 1].
    validation_size
        Share to validate on; what remains after training where it is ``None``.
    seed
        Of the shuffle.

    Returns
    -------
    Indices of the training, validation and test cells, each ascending.

    Raises
    ------
    ValueError
        If the shares are not in range.
    """
    validation, test = checked_shares(train_size, validation_size)
    n_cells = len(strata)
    shuffled = np.random.default_rng(seed).permutation(n_cells)
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    # Cells at even distances along the sorted order fall into each stratum in its share.
    position = (np.argsort(np.argsort(_spread(n_cells))) + 0.5) / n_cells
    parts = np.digitize(position, [validation, validation + test])
    take = [by_stratum[parts == k] for k in range(3)]
    return np.sort(take[2]), np.sort(take[0]), np.sort(take[1])


def checked_shares(train_size: float, validation_size: float | None) -> tuple[float, float]:
    """Shares of the cells to validate and to test on; parameters and errors are those of :func:`split_cells`."""
    validation = 1 - train_size if validation_size is None else validation_size
    if not 0 < train_size <= 1 or validation < 0 or train_size + validation > 1 + 1e-9:
        msg = (
            f"Expected train_size in (0, 1] and train_size + validation_size <= 1; got {train_size} and "
            f"{validation_size}."
        )
        raise ValueError(msg)
    # Rounding may leave a test share just below 0, which would turn the parts around.
    return validation, max(0.0, round(1 - train_size - validation, 9))


def _spread(n: int) -> np.ndarray:
    """Low-discrepancy sequence on [0, 1), so that any interval of its ranks is spread evenly over positions."""
    golden = (5**0.5 - 1) / 2
    return (np.arange(n) * golden) % 1.0
