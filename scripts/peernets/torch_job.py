"""Works in PyTorch."""

import torch

from . import machine, steps, works
from .nets import BLOCKS, build
from .nets.common import to_channels_last

SEED = 1


def make_net(work, channels_last):
    torch.manual_seed(SEED)
    kind, arguments = work.network()
    net = build(kind, **arguments)
    if channels_last:
        to_channels_last(net)
    return net


def images(work, channels_last):
    x = torch.rand(work.batch, 3, work.size, work.size)
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


def compile_blocks(net):
    """Compiles each kind of block once instead of the whole network, to compile in less time."""
    torch._dynamo.config.recompile_limit = 64  # one for each size of a block
    for module in net.modules():
        if isinstance(module, BLOCKS):
            module.compile()


def prepare_step(work, variant):
    channels_last = variant != "nchw"
    net = make_net(work, channels_last)
    if variant == works.COMPILED:
        compile_blocks(net)
    lq, gt = images(work, channels_last), images(work, channels_last)
    labels = torch.arange(work.batch) % works.CLASSES
    if work.method == "restore":
        step = steps.Restore(net, works.RESTORE_ADAMW)
    else:
        width = work.network()[1]["width"]
        classifier = build("classifier", dims=[width << i for i in range(4)], classes=works.CLASSES)
        if channels_last:
            to_channels_last(classifier)
        if variant == works.COMPILED:
            compile_blocks(classifier)
        step = steps.Dcpt(net, classifier, works.DCPT_ADAMW, works.CLASSIFIER_ADAMW, works.FOCAL_GAMMA)
    return lambda: step(lq, gt, labels)


def prepare_infer(work, variant):
    channels_last = variant != "nchw"
    net = make_net(work, channels_last).eval()
    if variant == works.COMPILED:
        net = torch.compile(net)
    x = images(work, channels_last)

    @torch.inference_mode()
    def run():
        net(x)

    return run


def export(work, path):
    """Writes the network as ONNX."""
    net = make_net(work, channels_last=False).eval()
    with torch.inference_mode():
        torch.onnx.export(net, (images(work, False),), path, input_names=["input"], output_names=["output"],
                          dynamo=True, verbose=False)


def prepare(work, variant):
    """Returns what does one run of the work."""
    torch.set_num_threads(machine.cores())
    return prepare_step(work, variant) if work.verb == "step" else prepare_infer(work, variant)


def versions():
    return {"torch": torch.__version__}
