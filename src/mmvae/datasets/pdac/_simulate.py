"""Simulated Visium sections of the form of the pancreatic cancer data. S spots, G genes, K cell types."""

from collections.abc import Mapping
from math import nextafter

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.random import Generator
from scipy.sparse import csr_matrix, vstack

from mmvae._checks import SEED, Number, between, check_numbers

from ._genes import Genes, draw_counts, draw_genes, expected_shares, solve_depth
from ._sections import ARRAY_PREFIX, ORIGINS, SECTION, SECTIONS, TISSUES, choose_sections, patient_of, tissue_of
from ._tidy import tidy_pdac
from ._tissue import CELL_TYPES, COMPOSITIONS, MAX_SPOTS, NICHES, Section, draw_section

DENSITY = Number("a share above 0, at most 0.95", nextafter(0, 1), 0.95)
SPACING = 150.0
MARGIN = 300.0
SECTION_DEPTH_SPREAD = 0.25
SPOT_DEPTH_SPREAD = 0.4
PROBED_SPOTS = 300
SECTIONS_PER_SLIDE = 4


def simulate_pdac(
    n_sections: int = len(SECTIONS),
    *,
    n_spots: int = 200,
    n_genes: int = 1000,
    density: float = 0.1,
    tidy: bool = True,
    seed: int = 0,
) -> AnnData:
    r"""Simulate Visium sections of a cancer whose truth is known, in the form of :func:`~mmvae.datasets.pdac_visium`.

    Each section is an irregular piece of tissue on the hexagonal grid of a slide, divided into regions. A region is of
    a niche, chosen by how common the niche is in the section's tissue; most niches are found in several tissues. The
    composition :math:`c` of a spot is Dirichlet around its niche's, with smooth passages between regions. With log
    expression :math:`P` by cell type, including known markers, and log fold changes :math:`\delta` of the tissue (a
    tenth of the genes, standard deviation 0.6), the patient and the section (all genes, 0.15 each), counts are negative
    binomial (dispersion 3) around

    .. math::
        \mu \propto l \, c \, e^{P} e^{\delta}, \qquad l \text{ log-normal by section and by spot}.

    So the tissue of a section can be learnt from other sections, but is not plain in every spot.

    Parameters
    ----------
    n_sections
        Number of sections, 1 to 30. Fewer than 30 are taken by turns from the four tissues.
    n_spots
        Spots of each section, 20 to 4,992. The real sections have 3,050 on average.
    n_genes
        Number of genes, at least 20. The first, up to 78, are markers of cell types under their own names, such as
        ``PRSS1``; the rest are ``GENE0001``, ... The real data have 17,860.
    density
        Share of the counts that are not zero, up to 0.95; it sets the depth.
    tidy
        Return the data in the shape that :func:`~mmvae.datasets.pdac_visium` describes; else as the file has them.
    seed
        Seed. The same seed gives the same data; the truth of a section does not depend on which others there are.

    Returns
    -------
    Counts in X, ``float32``, sparse (CSR), shape ``(n_sections * n_spots, n_genes)``, and

    - ``obs``: ``orig.ident`` (section), ``patient``, ``SlideName``, ``Origin``, ``first_type`` (largest share),
      ``CompositionCluster_CC`` (niche of the region), ``nCount_Spatial``, ``nFeature_Spatial``; ``isolated``, the spots
      that were given a cell type which none of their neighbours has; if ``tidy``, ``slide`` and ``tissue``.
    - ``obsm``: ``spatial``, shape ``(n_spots, 2)``, in pixels of the full image, of which there are 150 between
      neighbours; ``composition``, share of each cell type, shape ``(n_spots, n_types)``.
    - ``varm``: ``log_profile``, by cell type, and ``tissue_effect``, log fold change by tissue.
    - ``uns``: ``niches``, mean composition of each niche.

    Raises
    ------
    ValueError
        An argument has a value that cannot be used.

    Examples
    --------
    >>> adata = mmvae.datasets.simulate_pdac(8, n_spots=300)
    >>> adata.obs["tissue"].value_counts()
    """
    takes = {"n_sections": between(1, len(SECTIONS)), "n_spots": between(20, MAX_SPOTS), "n_genes": between(20)}
    takes |= {"density": DENSITY, "seed": SEED}
    check_numbers(takes, n_sections=n_sections, n_spots=n_spots, n_genes=n_genes, density=density, seed=seed)
    for_genes, for_tissue, for_depth, for_counts = np.random.default_rng(seed).spawn(4)
    names = choose_sections(n_sections)
    genes = draw_genes(for_genes, n_genes)
    sections = {name: draw_section(rng, n_spots, tissue_of(name)) for name, rng in _streams(for_tissue, names).items()}
    depths = _draw_depths(_streams(for_depth, names), sections, genes, density)
    counts = []
    for name, rng in _streams(for_counts, names).items():
        composition, shift = sections[name].composition, genes.section_shift[name]
        counts.append(draw_counts(rng, composition, depths[name], profile=genes.profile, shift=shift))
    adata = _to_anndata(vstack(counts, format="csr"), sections, genes)
    return tidy_pdac(adata) if tidy else adata


def _streams(rng: Generator, names: list[str]) -> dict[str, Generator]:
    """A random stream for each section, the same whichever others there are."""
    streams = dict(zip(SECTIONS, rng.spawn(len(SECTIONS)), strict=True))
    return {name: streams[name] for name in names}


def _draw_depths(
    streams: Mapping[str, Generator], sections: Mapping[str, Section], genes: Genes, density: float
) -> dict[str, np.ndarray]:
    """Expected total counts of the spots of each section, ``(n_spots,)``, which give the density asked for."""
    relative, probes = {}, []
    for name, rng in streams.items():
        composition = sections[name].composition
        of_section = rng.lognormal(0.0, SECTION_DEPTH_SPREAD)
        relative[name] = of_section * rng.lognormal(0.0, SPOT_DEPTH_SPREAD, len(composition))
        step = max(1, len(composition) * len(sections) // PROBED_SPOTS)
        shares = expected_shares(composition[::step], genes.profile, genes.section_shift[name])
        probes.append(shares * relative[name][::step, None])
    depth = solve_depth(np.vstack(probes), density)
    return {name: depth * one for name, one in relative.items()}


def _to_anndata(counts: csr_matrix, sections: Mapping[str, Section], genes: Genes) -> AnnData:
    """The data as the file has them."""
    obs = pd.concat([_describe(name, section) for name, section in sections.items()])
    obs = obs.astype(dict.fromkeys((SECTION, "patient", "SlideName", "Origin"), "category"))
    obs["nCount_Spatial"] = np.asarray(counts.sum(axis=1)).ravel()
    obs["nFeature_Spatial"] = np.diff(counts.indptr)
    composition = np.vstack([section.composition for section in sections.values()])
    places = np.vstack([SPACING * section.position + MARGIN for section in sections.values()])
    inside = {f"{ARRAY_PREFIX}{name}": (obs[SECTION] == name).to_numpy()[:, None] for name in sections}
    arrays = {key: np.where(has, places, np.nan) for key, has in inside.items()}
    return AnnData(
        counts,
        obs=obs,
        var=pd.DataFrame(index=genes.names),
        uns={"niches": pd.DataFrame(COMPOSITIONS, index=NICHES, columns=CELL_TYPES)},
        obsm={**arrays, "composition": pd.DataFrame(composition, index=obs.index, columns=CELL_TYPES)},
        varm={
            "log_profile": pd.DataFrame(genes.profile, index=genes.names, columns=CELL_TYPES),
            "tissue_effect": pd.DataFrame(genes.tissue_effect, index=genes.names, columns=TISSUES),
        },
    )


def _describe(name: str, section: Section) -> pd.DataFrame:
    return pd.DataFrame(
        {
            SECTION: name,
            "patient": patient_of(name),
            "SlideName": f"Slide_{SECTIONS.index(name) // SECTIONS_PER_SLIDE + 1}",
            "Origin": ORIGINS[tissue_of(name)],
            "first_type": pd.Categorical.from_codes(section.composition.argmax(axis=1), pd.Index(CELL_TYPES)),
            "CompositionCluster_CC": pd.Categorical.from_codes(section.niche, pd.Index(NICHES)),
            "isolated": section.isolated,
        },
        index=[f"{name}_{i}" for i in range(len(section.position))],
    )
