"""What can be asked for, and the error for what cannot be used."""

from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, RawDescriptionHelpFormatter
from functools import partial
from importlib.metadata import version
from pathlib import Path

FEWEST_CELLS = 100
SEEDS = 2**32
DEMO_CELLS, DEMO_EPOCHS = 2_000, 40
# Told without importing torch, which takes seconds.
PRIORS = ("conditional", "coupled", "flow", "gaussian", "gmrf", "labels", "mmvm", "mog", "normal", "vamp")
FUSIONS = ("attention", "concat", "moe", "mopoe", "poe")
LIKELIHOODS = ("bernoulli", "nb", "nb_mixture", "normal", "poisson", "student_t", "zinb")

EPILOG = """\
examples:
  mmvae demo
  mmvae check tumour.h5mu --batch-key slide
  mmvae fit tumour.h5mu --out embedded.h5mu --batch-key slide --model model/
  mmvae report model/ tumour.h5mu --out report.html

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
  mmvae fit tumour.h5mu --out embedded.h5mu --checkpoint saved/ --resume

The output is the input with obsm["X_mmvae"], one embedding per modality, obsm["X_mmvae_shared"], their provenance in
uns["mmvae"], and neighbours and a UMAP of X_mmvae. OUT and the model appear once they are complete; where another
program makes OUT meanwhile and --overwrite is not given, that stays, and the result is kept beside it as NAME.1.h5mu.
The last line can be run again whenever the run was stopped: it goes on from the last epoch that was completed.
"""
REPORT_EPILOG = """\
examples:
  mmvae report model/ tumour.h5mu
  mmvae report model/ tumour.h5mu --out tumour.html --overwrite

Writes one HTML file, which needs nothing beside it: the data, training, embeddings, priors, and how far the model can be
relied on.
"""


class InputError(Exception):
    """A file or an option that the user can mend cannot be used."""


def make_parser() -> ArgumentParser:
    """Parser of the command line."""
    parser = ArgumentParser(
        prog="mmvae",
        description="One latent space for cells measured by several omics, complete or mosaic.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mmvae {version('mmvae')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what, epilog, add_options in (
        ("demo", "simulate a mosaic, train, score against the truth", DEMO_EPILOG, _add_demo),
        ("check", "print what would be modelled, and all faults of the data", CHECK_EPILOG, _add_data),
        ("fit", "train a model on a file and write the embeddings", FIT_EPILOG, _add_fit),
        ("report", "write a page about a trained model and its data", REPORT_EPILOG, _add_report),
    ):
        command = commands.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            epilog=epilog,
            formatter_class=RawDescriptionHelpFormatter,
        )
        command.set_defaults(module=f"._{name}")
        command.add_argument("--debug", action="store_true", help="show tracebacks")
        add_options(command)
    return parser


def _add_demo(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, default=Path("mmvae_demo"), metavar="DIR", help="folder (mmvae_demo)")
    add("--cells", type=_cells, default=DEMO_CELLS, metavar="N", help=f"cells to simulate ({DEMO_CELLS})")
    add("--epochs", type=_positive, default=DEMO_EPOCHS, metavar="N", help=f"epochs of training ({DEMO_EPOCHS})")
    add("--seed", type=_seed, default=0, metavar="N", help="seed of the data and of the model (0)")


def _add_fit(parser: ArgumentParser) -> None:
    _add_data(parser)
    add = parser.add_argument_group("output").add_argument
    add("--out", type=Path, required=True, metavar="OUT", help="file to write, of the input's format")
    add("--model", type=Path, metavar="DIR", help="folder to save the model in")
    add("--overwrite", action="store_true", help="replace OUT and the model if they exist")
    add("--umap", action=BooleanOptionalAction, default=True, help="add neighbours and a UMAP (default)")
    add = parser.add_argument_group("model").add_argument
    add("--prior", default="mog", metavar="NAME", help=f"{', '.join(PRIORS)}; mog by default")
    add("--fusion", default="concat", metavar="NAME", help=f"{', '.join(FUSIONS)}; concat by default")
    add("--epochs", type=_positive, metavar="N", help="epochs at the most; by the number of cells")
    add("--seed", type=_seed, default=0, metavar="N", help="of weights, split and training (0)")
    add("--checkpoint", type=Path, metavar="DIR", help="folder to save the training in after each epoch")
    add("--resume", action="store_true", help="go on with what --checkpoint holds, if it holds anything")


def _add_report(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL_DIR", help="folder that mmvae fit --model or MultiVAE.save wrote")
    add("input", type=Path, metavar="DATA", help=".h5mu or .h5ad file that the model was trained on")
    add("--out", type=Path, default=Path("report.html"), metavar="OUT", help="file to write (report.html)")
    add("--overwrite", action="store_true", help="replace OUT if it exists")


def _add_data(parser: ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="IN", help=".h5mu file, or .h5ad file of one modality")
    add = parser.add_argument_group("data").add_argument
    add("--batch-key", action="append", metavar="KEY", help="column of technical batches; several are combined")
    add("--labels-key", metavar="KEY", help="column of labels, for the cells that have one")
    what_of = (("--layer", "LAYER", "layer to model, or X"), ("--likelihood", "NAME", ", ".join(LIKELIHOODS)))
    for option, value, what in what_of:
        text = f"{what}; inferred by default"
        add(option, action="append", type=_named, default=[], metavar=f"MODALITY={value}", help=text)
    add("--modality", metavar="NAME", help="what a .h5ad file holds, such as atac or protein (rna)")


def _named(text: str) -> tuple[str, str]:
    """Name and value of ``NAME=VALUE``."""
    name, _, value = text.partition("=")
    if not name or not value:
        msg = f"Expected MODALITY=VALUE; got '{text}'."
        raise ArgumentTypeError(msg)
    return name, value


def _whole(text: str, minimum: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = minimum - 1
    if value < minimum:
        msg = f"Expected a whole number of at least {minimum}; got '{text}'."
        raise ArgumentTypeError(msg)
    return value


_positive = partial(_whole, minimum=1)
# So many can be split, trained on and scored.
_cells = partial(_whole, minimum=FEWEST_CELLS)


def _seed(text: str) -> int:
    """A seed that every random generator takes."""
    value = _whole(text, 0)
    if value >= SEEDS:
        msg = f"Expected a seed below {SEEDS}; got {value}."
        raise ArgumentTypeError(msg)
    return value
