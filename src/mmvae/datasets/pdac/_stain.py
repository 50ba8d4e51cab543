"""Small images of simulated sections, coloured like tissue stained with haematoxylin and eosin. S spots."""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial import KDTree

from mmvae.datasets._typing import Floats

from ._niches import CELL_TYPES

SIDE = 400
"""Longer side of an image, in its pixels."""

SPOT_SHARE = 0.55
"""Diameter of a Visium spot, 55 micrometres, in distances between spots, 100 micrometres."""

GLASS = np.array([243.0, 241.0, 244.0])
COLOURS = np.array(
    [
        {
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
        }[kind]
        for kind in CELL_TYPES
    ],
    dtype=np.float64,
)


def draw_image(rng: Generator, position: Floats, composition: Floats, *, spacing: float) -> dict[str, Any]:
    """One entry of ``uns["spatial"]``, as scanpy reads it.

    Parameters
    ----------
    rng
        Random number generator.
    position
        Coordinates in pixels of the full image, shape ``(n_spots, 2)``.
    composition
        Share of each cell type, shape ``(n_spots, n_types)``.
    spacing
        Distance between spots, in pixels of the full image.
    """
    extent = position.max(axis=0) + spacing
    scale = SIDE / extent.max()
    width, height = np.ceil(extent * scale).astype(int)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([x, y], axis=-1).reshape(-1, 2) / scale
    image = _stain(rng, pixels, position / spacing, composition @ COLOURS, spacing)
    return {
        "images": {"lowres": image.reshape(height, width, 3)},
        "scalefactors": {"tissue_lowres_scalef": scale, "spot_diameter_fullres": SPOT_SHARE * spacing},
        "metadata": {},
    }


def _stain(rng: Generator, pixels: Floats, spots: Floats, colours: Floats, spacing: float) -> NDArray[np.uint8]:
    """Colour of each pixel, between those of the three nearest spots, glass where there are none, ``(n_pixels, 3)``."""
    n_near = min(3, len(spots))
    distance, near = KDTree(spots).query(pixels / spacing, k=list(range(1, n_near + 1)))
    weight = 1.0 / (distance + 0.1)
    weight /= weight.sum(axis=1, keepdims=True)
    colour = np.einsum("pk,pkc->pc", weight, colours[near])
    colour *= 1.0 + rng.normal(0.0, 0.08, (len(pixels), 1))
    glass = distance[:, 0] > 0.9 + rng.normal(0.0, 0.08, len(pixels))
    colour[glass] = GLASS + rng.normal(0.0, 1.0, (int(glass.sum()), 1))
    return np.clip(colour, 0.0, 255.0).astype(np.uint8)
