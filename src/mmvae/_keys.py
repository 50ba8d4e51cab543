"""Every string that more than one file must agree on."""

from typing import Final

# Parts of scvi-tools' registry, and biological covariates that priors may look at.
SETUP_ARGS: Final = "setup_args"
SETUP_METHOD: Final = "setup_method_name"
MODEL_NAME: Final = "model_name"
SCVI_VERSION: Final = "scvi_version"
FIELDS: Final = "field_registries"
STATE: Final = "state_registry"
DATA: Final = "data_registry"
PRIOR_COVARIATES: Final = "prior_covariates"
# Minibatch entries that are not registered fields.
PRESENT: Final = "present"
CELLS: Final = "ind_x"
# Columns that `setup_mudata` adds to `obs`.
RESOLVED_PREFIX: Final = "_mmvae_"
# Outputs of a module. scvi-tools' tuner reads the first.
Z: Final = "z"
MINIBATCH: Final = "minibatch"
INFERENCE: Final = "inference"
# The metric by which training stops and chooses its best epoch.
OBJECTIVE: Final = "objective"
# Metrics of each latent: its KL, and in how many cells of a minibatch.
KL: Final = "kl_"
N_CELLS: Final = "n_cells_"
# What the joint-posterior fusions call their one latent, and what the latents are called where one prior covers them all.
JOINT: Final = "joint"
COUPLED: Final = "coupled"
# Readouts of a cell.
FUSED: Final = "fused"
UNWEIGHTED: Final = "unweighted"
SHARED: Final = "shared"
# A library size that is each cell's own, as scvi-tools calls it.
LATENT: Final = "latent"
# Where `mmvae.tl.embed` writes what it read, in `uns`.
PROVENANCE: Final = "mmvae"
# Where `mmvae.tl.domains` writes, in `obs` and `uns`.
DOMAIN: Final = "mmvae_domain"
# What plots take for what was measured in a cell, as if it were a column of `obs`.
PATTERN: Final = "mmvae_pattern"
# What `mmvae.pp.spatial` calls the modalities that it makes, and the places of spots in `obsm`.
RNA: Final = "rna"
SPATIAL: Final = "spatial"
# The graph of neighbouring spots in `obsp` and its description in `uns`, named as squidpy does.
CONNECTIVITIES: Final = "spatial_connectivities"
DISTANCES: Final = "spatial_distances"
NEIGHBORS: Final = "spatial_neighbors"
# Where a modality carries defaults of its own, in `uns`.
DEFAULTS: Final = "mmvae_defaults"
# Layers that hold counts where X does not.
COUNT_LAYERS: Final = ("counts", "raw_counts", "raw", "umi")
# Minified data, named as scvi-tools does: what says so in `uns`, the two ways, depths in `obs`; and what mmvae adds in `uns`.
MINIFY_TYPE: Final = "_scvi_adata_minify_type"
POSTERIORS: Final = "latent_posterior_parameters"
POSTERIORS_WITH_COUNTS: Final = "latent_posterior_parameters_with_counts"
OBSERVED_DEPTH: Final = "observed_lib_size"
SCVI_UUID: Final = "_scvi_uuid"
MINIFIED: Final = "mmvae_minified"
# Which set-up wrote to data last, in `uns`, as scvi-tools calls it.
LAST_SETUP: Final = "_scvi_manager_uuid"
# Where scanpy keeps its UMAP.
UMAP: Final = "X_umap"


def layer_key(modality: str) -> str:
    """Registry key of a modality's values."""
    return f"X_{modality}"


def columns_key(modality: str) -> str:
    """Minibatch entry with the columns of a modality's stored values, where these are sparse."""
    return f"columns_{modality}"


def starts_key(modality: str) -> str:
    """Minibatch entry with where each row of a modality's stored values starts, where these are sparse."""
    return f"starts_{modality}"


def rows_key(modality: str) -> str:
    """Minibatch entry with the places of the cells that have a modality."""
    return f"rows_{modality}"


def size_factor_key(modality: str) -> str:
    """Registry key of a modality's size factors."""
    return f"size_factor_{modality}"


def posterior_keys(modality: str) -> tuple[str, str, str]:
    """Minibatch entries with mean and variance of a modality's stored posterior, and the size factor."""
    return f"qzm_{modality}", f"qzv_{modality}", f"depth_{modality}"


def embedding_key(representation: str) -> str:
    """Name in ``obsm`` of a readout: ``X_mmvae``, ``X_mmvae_shared`` or ``X_mmvae_<modality>``."""
    return "X_mmvae" if representation == FUSED else f"X_mmvae_{representation}"
