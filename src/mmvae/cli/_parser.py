"""What can be asked for."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ._types import cell_number, named, positive, seed

if TYPE_CHECKING:
    from argparse import ArgumentParser

DEMO_CELLS, DEMO_EPOCHS = 2_000, 40

EPILOG = """\
examples:
  mmvae demo
  mmvae check tumour.h5mu --batch-key slide
  mmvae fit tumour.h5mu --out embedded.h5mu --batch-key slide

exit codes: 0 done, 1 failed, 2 an option or a file cannot be used, 130 interrupted, 143 terminated
"""
DEMO_EPILOG = """\
examples:
  mmvae demo
  mmvae demo --out try --cells 500 --epochs 20

Writes demo.h5mu, umap.png and history.png to the folder; files of these names are replaced.
"""
CHECK_EPILOG = """\
examples:
  mmvae check tumour.h5mu --batch-key slide
  mmvae check tumour.h5mu --layer rna=counts --likelihood atac=bernoulli
  mmvae check cells.h5ad --modality atac
"""
FIT_EPILOG = """\
examples:
  mmvae fit tumour.h5mu --out embedded.h5mu --batch-key slide
  mmvae fit tumour.h5mu --out embedded.h5mu --batch-key donor --batch-key site --model model/
  mmvae fit tumour.h5mu --out embedded.h5mu --layer rna=counts --likelihood atac=bernoulli --prior vamp

The output is the input with obsm["X_mmvae"], one embedding per modality, obsm["X_mmvae_shared"], their provenance in
uns["mmvae"], and neighbours and a UMAP of X_mmvae.
"""


def make_parser() -> ArgumentParser:
    """Parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="mmvae",
        description="One latent space for cells measured by several omics, complete or mosaic.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mmvae {version('mmvae')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(_command(commands, "demo", "simulate a mosaic, train, score against the truth", DEMO_EPILOG))
    _add_check(_command(commands, "check", "print what would be modelled, and all faults of the data", CHECK_EPILOG))
    _add_fit(_command(commands, "fit", "train a model on a file and write the embeddings", FIT_EPILOG))
    return parser


def _command(commands: argparse._SubParsersAction[ArgumentParser], name: str, what: str, epilog: str) -> ArgumentParser:
    parser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(module=f"._{name}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _add_demo(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("mmvae_demo"), metavar="DIR", help="folder (mmvae_demo)")
    parser.add_argument(
        "--cells", type=cell_number, default=DEMO_CELLS, metavar="N", help=f"cells to simulate ({DEMO_CELLS})"
    )
    parser.add_argument(
        "--epochs", type=positive, default=DEMO_EPOCHS, metavar="N", help=f"epochs of training ({DEMO_EPOCHS})"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the data and of the model (0)")


def _add_check(parser: ArgumentParser) -> None:
    _add_data(parser)


def _add_fit(parser: ArgumentParser) -> None:
    _add_data(parser)
    _add_output(parser.add_argument_group("output"))
    model = parser.add_argument_group("model")
    model.add_argument("--prior", default="mog", metavar="NAME", help="mog (default), normal, gaussian or vamp")
    model.add_argument("--fusion", default="concat", metavar="NAME", help="concat (default) or poe")
    model.add_argument("--epochs", type=positive, metavar="N", help="epochs at the most; by the number of cells")
    model.add_argument("--seed", type=seed, default=0, metavar="N", help="of weights, split and training (0)")


def _add_data(parser: ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="IN", help=".h5mu file, or .h5ad file of one modality")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--batch-key", action="append", metavar="KEY", help="column of technical batches; several are combined"
    )
    data.add_argument("--labels-key", metavar="KEY", help="column of labels, for the cells that have one")
    data.add_argument(
        "--layer",
        action="append",
        type=named,
        default=[],
        metavar="MODALITY=LAYER",
        help="layer to model, or X; inferred by default",
    )
    data.add_argument(
        "--likelihood",
        action="append",
        type=named,
        default=[],
        metavar="MODALITY=NAME",
        help="nb, zinb, poisson, bernoulli, nb_mixture, normal or student_t; inferred by default",
    )
    data.add_argument("--modality", metavar="NAME", help="what a .h5ad file holds, such as atac or protein (rna)")


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--out", type=Path, required=True, metavar="OUT", help="file to write, of the input's format")
    group.add_argument("--model", type=Path, metavar="DIR", help="folder to save the model in")
    group.add_argument("--overwrite", action="store_true", help="replace OUT and the model if they exist")
    group.add_argument(
        "--umap", action=argparse.BooleanOptionalAction, default=True, help="add neighbours and a UMAP (default)"
    )
