"""The page: its sections, made one by one, and the file."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmvae._errors import SetupError
from mmvae._files import replacing
from mmvae.model import MultiVAE
from mmvae.train import seeded

from ._blocks import LONG, Block, Note
from ._sections import SECTIONS, Part

TEMPLATE = "page.html.jinja"


@dataclass(frozen=True)
class Section:
    """A heading, its anchor, and what stands beneath."""

    title: str
    anchor: str
    blocks: list[Block]


def write(model: MultiVAE, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the page of a trained model; the file appears once it is complete. See :meth:`~mmvae.MultiVAE.report`."""
    path = _checked(Path(path), overwrite=overwrite)
    model._check_if_trained(warn=False)
    # The same page each time, and the user's own random numbers do not feel it.
    with replacing(path, overwrite=overwrite) as part, seeded(0):
        part.write_text(_render(model), encoding="utf-8")
    return path


def _checked(path: Path, *, overwrite: bool) -> Path:
    if not path.parent.is_dir():
        msg = f"Expected a folder for the report; '{path.parent}' is not one. Make it first."
        raise FileNotFoundError(msg)
    if path.is_dir():
        msg = f"Expected the name of a file for the report; '{path}' is a folder. Name a file in it."
        raise IsADirectoryError(msg)
    if path.exists() and not overwrite:
        msg = f"Expected a new name for the report; '{path}' exists. Give another or overwrite=True."
        raise FileExistsError(msg)
    return path


def _render(model: MultiVAE) -> str:
    environment = Environment(
        loader=PackageLoader("mmvae.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        names=model.modalities,
        summary=repr(model),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        sections=list(_sections(model)),
        long=LONG,
    )


def _sections(model: MultiVAE) -> Iterator[Section]:
    """All sections; a sentence that stands above is not said again, nor of other cells with other decimals."""
    said: set[str] = set()
    for title, parts in SECTIONS.items():
        blocks = [block for block in _blocks(model, parts) if not (isinstance(block, Note) and _words(block) in said)]
        said |= {_words(block) for block in blocks if isinstance(block, Note)}
        yield Section(title, title.lower(), blocks)


def _words(note: Note) -> str:
    """The sentence without its decimals."""
    return re.sub(r"-?\d+\.\d+", "", note.text)


def _blocks(model: MultiVAE, parts: tuple[Part, ...]) -> Iterator[Block]:
    """Blocks of all parts of a section; where a part fails, those before, and why there are no more."""
    for part in parts:
        try:
            yield from part(model)
        except SetupError:  # the data were changed: of no part can be known that it is right
            raise
        # Parts read the model in every way that there is: a page without one of them is better than none.
        except Exception as error:  # noqa: BLE001
            what = (part.__doc__ or part.__name__).rstrip(".")
            yield Note(f"Not made: {what[0].lower()}{what[1:]}. {type(error).__name__}: {error}", "failure")
