"""The peer networks: DCPT's architectures in PyTorch, written from their description."""

from . import classifier, nafnet, promptir, restormer, swinir

KINDS = {
    "nafnet": nafnet.NAFNet,
    "restormer": restormer.Restormer,
    "promptir": promptir.PromptIR,
    "swinir": swinir.SwinIR,
    "classifier": classifier.Classifier,
}

# The blocks that networks repeat.
BLOCKS = (nafnet.NAFBlock, restormer.Block, swinir.Block, classifier.Bottleneck)


def build(kind, **arguments):
    """A network of a kind (see KINDS) with its constructor's arguments."""
    return KINDS[kind](**arguments)
