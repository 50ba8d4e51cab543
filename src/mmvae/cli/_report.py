"""`mmvae report`."""

from argparse import Namespace
from pathlib import Path

import matplotlib as mpl
from anndata import AnnData
from mudata import MuData

from mmvae._errors import SetupError
from mmvae.data import check_type
from mmvae.model import MultiVAE

from ._files import MODEL_FILE, output, read
from ._parser import InputError


def run(args: Namespace) -> None:
    """Write a page about a saved model and its data."""
    with output(args.out, overwrite=args.overwrite):
        pass  # it can be written
    if not (args.model / MODEL_FILE).is_file():
        msg = f"Expected the folder of a model; '{args.model}' holds no {MODEL_FILE}. Name one that mmvae fit --model wrote."
        raise InputError(msg)
    mpl.use("Agg")
    model = _load(args.model, read(args.input))
    model.report(args.out, overwrite=args.overwrite)
    print(f"Wrote {args.out}")


def _load(folder: Path, data: MuData | AnnData) -> MultiVAE:
    try:
        # scvi-tools' words for an AnnData in place of a MuData help nobody.
        check_type(data, MultiVAE.load_registry(str(folder)))
        return MultiVAE.load(folder, data)
    except SetupError:
        raise
    # What is no model fails in as many ways as there are files.
    except Exception as error:
        msg = f"Expected a model that mmvae saved; '{folder}' cannot be read: {error}. Check that it is complete."
        raise InputError(msg) from error
