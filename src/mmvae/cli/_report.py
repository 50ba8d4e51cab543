"""`mmvae report`."""

from argparse import Namespace
from pathlib import Path

import matplotlib as mpl
from anndata import AnnData
from mudata import MuData

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
        check_type(data, MultiVAE.load_registry(folder))
        return MultiVAE.load(folder, data)
    except ValueError as error:
        raise InputError(str(error)) from error
