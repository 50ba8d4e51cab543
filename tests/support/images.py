"""How images of plots are compared with those in ``tests/pl/baseline``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from matplotlib.legend import Legend
from matplotlib.text import Text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Root mean square of the differences in brightness, of 255.
TOLERANCE = 2

# Make new images, and look at them, with
#   pytest tests/pl --mpl-generate-path=tests/pl/baseline -n 0
image = pytest.mark.mpl_image_compare(tolerance=TOLERANCE, remove_text=True, savefig_kwargs={"dpi": 60})


def without_text(figure: Figure) -> Figure:
    """The figure as other versions of matplotlib draw it, too: without text, and without what text moves.

    Titles, labels and legends are tested by what they say.
    """
    figure.set_layout_engine("none")
    for legend in figure.findobj(Legend):
        legend.set_visible(False)
    for text in figure.findobj(Text):
        text.set_alpha(0)
    return figure
