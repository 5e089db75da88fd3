"""A kernel's answers reach the page at once: one setting of JupyterLab's connection that `xenlab lab` changes.

A kernel answers a slider in several small messages. TCP holds a small one back until the one before it has been
acknowledged (J. Nagle, RFC 896), and a browser may put off its acknowledgement by some 40 ms (RFC 1122, 4.2.3.2).
Together they would make most of the time from a move to the redrawn picture.
"""

from __future__ import annotations

import asyncio

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

#: What JupyterLab must be told to use it.
OPTION = "--ServerApp.kernel_websocket_connection_class=xenlab.prompt.PromptConnection"


class PromptConnection(ZMQChannelsWebsocketConnection):
    """The connection between a page and its kernel, with TCP_NODELAY set."""

    def connect(self) -> asyncio.Future[None] | None:  # type: ignore[override]  # as the class above has it
        """Set it, and connect as ever."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()
