"""Works in ONNX Runtime."""

import numpy
import onnxruntime

from . import machine

SEED = 1


def prepare(work, model):
    """Returns what does one run of the ONNX file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = machine.cores()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    shape = (work.batch, 3, work.size, work.size)
    feed = {"input": numpy.random.default_rng(SEED).random(shape, numpy.float32)}
    return lambda: session.run(None, feed)


def versions():
    return {"onnxruntime": onnxruntime.__version__}
