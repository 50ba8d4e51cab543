"""How images of plots are compared with those in ``tests/pl/baseline``."""

import pytest

# Root mean square of the difference of grey levels, of 255. Other versions of matplotlib and scanpy move edges of lines and
# dots by parts of a pixel, which was seen to make up to 2; a line or a group of dots that is missing makes 5 and more.
TOLERANCE = 4

# Titles and tick labels depend on versions of fonts, and tests look at them in words. Make new images, and look at them, with
#   pytest tests/pl --mpl-generate-path=tests/pl/baseline -n 0
image = pytest.mark.mpl_image_compare(tolerance=TOLERANCE, remove_text=True, savefig_kwargs={"dpi": 60})
