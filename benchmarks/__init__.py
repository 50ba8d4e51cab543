"""Measurements behind the claims of the README and the docs. Not part of the installed package.

Each of these is a command, ``python -m benchmarks.<name>``, that updates a table in ``docs/_static``:

- ``peers``: mmvae and other methods on real data; ``peers.page`` writes its page.
- ``ablation``: models that differ in the prior alone.
- ``spatial``: regions of tissue; ``spatial.pdac``: tissues of sections that were never seen.
- ``design``: what was tried for the defaults.
- ``labels``: labels of cells from those of a tenth of them.
- ``fills``: whether filled latents are as sure as they should be.
- ``atlas``: a mosaic of a quarter of a million cells of twelve studies, beside peers.
- ``peaks``: the Poisson likelihood of all peaks, and of sampled ones, on growing numbers of peaks.
- ``speed``: seconds and memory of mmvae and its peers, on a CPU or a card, and how both grow with the data.

They stand on ``methods`` and ``scores``, and on the files beside them. A file whose name begins with an underscore is
imported in its own folder alone.
"""
