"""JupyterLab, as `xenlab lab` starts it, sends a kernel's small messages without waiting for acknowledgements."""

import importlib
import sys

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from xenlab import lab, prompt


def test_the_option_names_the_class():
    module, _, name = prompt.OPTION.split("=")[1].rpartition(".")
    assert getattr(importlib.import_module(module), name) is prompt.PromptConnection


def test_a_connection_asks_for_no_delay_before_anything_is_sent(monkeypatch):
    done = []

    class Handler:
        def set_nodelay(self, value):
            done.append(("nodelay", value))

    class Connection(prompt.PromptConnection):
        websocket_handler = Handler()

        def __init__(self):
            pass

    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda self: done.append("connected"))
    Connection().connect()
    assert done == [("nodelay", True), "connected"]


def test_xenlab_lab_starts_jupyterlab_with_it(monkeypatch, tmp_path):
    started = []

    class Process:
        def __init__(self, argv, env):
            started.append(argv)

        def wait(self):
            return 0

    (tmp_path / "chapters").mkdir()
    (tmp_path / lab.FIRST_CHAPTER).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "_build_in_background", lambda: None)
    monkeypatch.setattr(lab.subprocess, "Popen", Process)
    assert lab.serve(browser=False) == 0
    assert started[0][:3] == [sys.executable, "-m", "jupyterlab"]
    assert prompt.OPTION in started[0]
