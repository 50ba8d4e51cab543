"""`mmvae demo`."""

from argparse import Namespace

import matplotlib as mpl
import torch

from mmvae._keys import FUSED, SHARED
from mmvae.datasets import simulate
from mmvae.model import MultiVAE
from mmvae.tl import embed

from ._figures import add_umap, save_history, save_umap
from ._files import make_folder, write
from ._scores import print_scores

MISSING = {"rna+atac+protein": 0.4, "rna+protein": 0.2, "rna+atac": 0.15, "rna": 0.15, "atac": 0.1}
BATCH_SIZE = 128


def run(args: Namespace) -> None:
    """Simulate a mosaic, train on it, score the result and draw it."""
    make_folder(args.out)
    mpl.use("Agg")
    # Layers this small gain nothing from a second thread, and lose much where other programs use the processor.
    torch.set_num_threads(1)
    print(f"Simulating {args.cells:,} cells of a tumour: rna, atac and protein in three batches, some missing.")
    mdata = simulate(args.cells, missing=MISSING, keep_rates=True, seed=args.seed)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, seed=args.seed)
    model.train(args.epochs, batch_size=BATCH_SIZE)
    embed(model, mdata)
    print("Scoring, and drawing UMAPs ...")
    print_scores(model, mdata)
    for readout in (FUSED, SHARED):
        add_umap(mdata, readout)
    for name in model.modalities:
        # As large as all the counts together, and of no use once predictions are scored.
        del mdata.obsm[f"rate_{name}"]
    write(mdata, args.out / "demo.h5mu")
    save_umap(mdata, args.out / "umap.png")
    save_history(model, args.out / "history.png")
    for name in ("demo.h5mu", "umap.png", "history.png"):
        print(f"Wrote {args.out / name}")
