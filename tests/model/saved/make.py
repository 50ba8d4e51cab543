"""Write a model of this version of mmvae and of scvi-tools, for the tests of later ones: ``python make.py FOLDER``.

``0.1-mosaic`` and ``0.1-query`` were made by mmvae 0.1 with scvi-tools 1.4.2 and pandas 2.3, the former like this and with its
data, in whose ``obsm`` the expected latents are; the latter is a query of an AnnData.
"""

import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import mudata

from mmvae import MultiVAE
from mmvae._compat import unpulled

HERE = Path(__file__).parent


def main(folder: str) -> None:
    """Train on the data of ``0.1-mosaic``; the latents are an attribute of the model."""
    warnings.simplefilter("ignore")
    with unpulled():
        mdata = mudata.read_h5mu(HERE / "0.1-mosaic" / "mdata.h5mu")
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="type")
    model = MultiVAE(mdata, n_latent=2, n_hidden=6, prior={"rna": "labels", "protein": "mog"})
    model.train(2, accelerator="cpu", enable_progress_bar=False)
    model.expected_ = model.get_latent_representation()
    model.save(folder, prefix=f"scvi-tools-{version('scvi-tools')}_", overwrite=True)


if __name__ == "__main__":
    main(sys.argv[1])
