"""Small images of simulated sections, coloured like tissue stained with haematoxylin and eosin. S spots."""

from typing import Any

import numpy as np
from numpy.random import Generator
from scipy.spatial import KDTree

from ._niches import CELL_TYPES

# Longer side of an image, in its pixels.
SIDE = 400
# Diameter of a Visium spot, 55 micrometres, in distances between spots, 100 micrometres.
SPOT_SHARE = 0.55

GLASS = np.array([243.0, 241.0, 244.0])
_COLOURS = {
    "Malignant": (128, 84, 156),
    "Ductal": (160, 110, 175),
    "Acinar": (172, 98, 160),
    "Endocrine": (205, 165, 205),
    "Fibroblast": (232, 170, 200),
    "Endothelial": (220, 130, 160),
    "Adipocyte": (240, 234, 240),
    "T cell": (95, 65, 140),
    "B cell": (80, 55, 130),
    "Plasma cell": (130, 75, 150),
    "Macrophage": (190, 140, 185),
    "Hepatocyte": (215, 125, 150),
}
COLOURS = np.array([_COLOURS[kind] for kind in CELL_TYPES], dtype=float)


def draw_image(rng: Generator, position: np.ndarray, composition: np.ndarray, *, spacing: float) -> dict[str, Any]:
    """One entry of ``uns["spatial"]``, as scanpy reads it.

    Spots lie at ``position``, ``(S, 2)``, ``spacing`` apart, both in pixels of the full image, and have a ``composition``,
    ``(S, K)``.
    """
    extent = position.max(axis=0) + spacing
    scale = SIDE / extent.max()
    width, height = np.ceil(extent * scale).astype(int)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([x, y], axis=-1).reshape(-1, 2) / scale
    # Colours lie between those of the three nearest spots; where there are none, there is glass.
    n_near = min(3, len(position))
    distance, near = KDTree(position / spacing).query(pixels / spacing, k=list(range(1, n_near + 1)))
    weight = 1.0 / (distance + 0.1)
    weight /= weight.sum(axis=1, keepdims=True)
    colour = np.einsum("pk,pkc->pc", weight, (composition @ COLOURS)[near])
    colour *= 1.0 + rng.normal(0.0, 0.08, (len(pixels), 1))
    glass = distance[:, 0] > 0.9 + rng.normal(0.0, 0.08, len(pixels))
    colour[glass] = GLASS + rng.normal(0.0, 1.0, (int(glass.sum()), 1))
    image = np.clip(colour, 0.0, 255.0).astype(np.uint8)
    return {
        "images": {"lowres": image.reshape(height, width, 3)},
        "scalefactors": {"tissue_lowres_scalef": scale, "spot_diameter_fullres": SPOT_SHARE * spacing},
        "metadata": {},
    }
