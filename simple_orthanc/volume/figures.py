"""A matplotlib figure that a notebook shows once, wherever it is returned, kept or made in a loop."""

from __future__ import annotations

from io import BytesIO

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure


class VolumeFigure(Figure):
    """A figure known to pyplot, which shows it at the end of a cell or at ``plt.show()``.

    A notebook would show such a figure a second time where it is the value of the cell. Once this one was shown as a
    value, pyplot forgets it; it can still be looked at again.
    """

    def _ipython_display_(self) -> None:
        backend = matplotlib.get_backend().lower()
        # Other backends draw it in a window or a widget of their own.
        if "inline" not in backend and backend != "agg":
            return
        from IPython.display import Image, display

        content = BytesIO()
        self.savefig(content, format="png", bbox_inches="tight")
        display(Image(data=content.getvalue(), format="png"))  # type: ignore[no-untyped-call]
        pyplot.close(self)
