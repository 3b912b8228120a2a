"""A process that ends while it loads a version ends well."""

from __future__ import annotations

import subprocess
import sys

LOADING = """
import threading

import onnxruntime
from onnx import TensorProto, helper

from inference import service
from streams.health import Health
from streams.patience import Patience

ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "graph", ends[:1], ends[1:])
opset = [helper.make_opsetid("", 17)]
network = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


class Loading:
    patience = Patience(Health("inference"), threading.Event())
    begun = threading.Event()

    def follow(self):
        while not self.patience.stop.is_set():
            onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
            self.begun.set()


with service.followed(Loading()):
    assert Loading.begun.wait(60)
"""


def test_a_version_that_is_being_loaded_does_not_abort_the_end() -> None:
    """A thread that finds the interpreter gone inside the networks' library aborts the process."""
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
