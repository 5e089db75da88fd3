"""Show a matplotlib figure with a description that nobody misses."""

from __future__ import annotations

import base64
import io
from typing import Any

from xenlab.commands import XenlabError


def show(figure: Any, alt: str) -> None:
    """Display `figure` as a PNG whose alternative text is `alt`, print `alt` below it, and close the figure.

    The line is printed too because a static export can drop an image's alternative text, and because it is
    what remains in a terminal. It says what the figure shows, not what kind of figure it is. Raises
    `XenlabError` if it is empty.
    """
    if not alt.strip():
        raise XenlabError(f"alt(={alt!r}) must say what the figure shows")
    from IPython.display import publish_display_data
    from matplotlib import pyplot as plt

    png = io.BytesIO()
    figure.savefig(png, format="png")
    plt.close(figure)
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": "<figure>"}
    publish_display_data(data, metadata={"image/png": {"alt": alt}})  # type: ignore[no-untyped-call]
    print(alt)
