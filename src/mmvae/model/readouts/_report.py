"""All that a trained model can say of itself, on one page."""

import os
from importlib import import_module
from pathlib import Path

from mmvae.model._data import DataAccess


class ReportMethods(DataAccess):
    """The report."""

    def report(self, path: str | os.PathLike[str] = "report.html", *, overwrite: bool = False) -> Path:
        """Write one page about the model: its data, training, embeddings, priors, and how far it can be relied on.

        The page is a single HTML file that needs nothing beside it, no network and no script; it can be read on a phone
        and printed. Every figure says how to read it. What cannot be made, such as figures of cells where the model was
        loaded without data, is named on the page with the reason. UMAPs are of 20,000 random cells at the most. Neither
        the data nor the weights are changed.

        Parameters
        ----------
        path
            File to write, which appears once it is complete.
        overwrite
            Whether a file of that name is replaced.

        Returns
        -------
        ``path``.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        FileExistsError
            If the file exists and ``overwrite`` is ``False``.

        Examples
        --------
        >>> model.report("report.html")
        """
        # The report draws with mmvae.pl and reads with this class, so that nothing here can import it before it is asked for.
        return import_module("mmvae.report").write(self, path, overwrite=overwrite)
