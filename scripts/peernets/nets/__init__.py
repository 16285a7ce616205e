"""The peer networks: DCPT's architectures in PyTorch, written from their description."""

from .classifier import Classifier
from .nafnet import NAFNet
from .promptir import PromptIR
from .restormer import Restormer
from .swinir import SwinIR

KINDS = {
    "nafnet": NAFNet,
    "restormer": Restormer,
    "promptir": PromptIR,
    "swinir": SwinIR,
    "classifier": Classifier,
}


def build(kind, **arguments):
    """A network of a kind (see KINDS) with its constructor's arguments."""
    return KINDS[kind](**arguments)
