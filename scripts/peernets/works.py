"""What is compared: the works of both sides, by name."""

import json
from dataclasses import dataclass

NAFNET = dict(enc=(1, 1, 1, 28), middle=1, dec=(1, 1, 1, 1))

# The networks by the names of godcpt's presets: kind and arguments of the peer network.
NETS = {
    "nafnet-5d-w32": ("nafnet", dict(width=32, **NAFNET)),
    "nafnet-5d": ("nafnet", dict(width=64, **NAFNET)),
    "restormer-5d": ("restormer", {}),
    "promptir-5d": ("promptir", {}),
    "swinir-5d": ("swinir", {}),
}

# The optimiser and loss of both sides: those of the recipe nafnet-5d.
RESTORE_ADAMW = dict(lr=3e-4, betas=(0.9, 0.999), weight_decay=1e-4)
DCPT_ADAMW = dict(lr=3e-4, betas=(0.9, 0.999), weight_decay=0.0)
CLASSIFIER_ADAMW = dict(lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0)
FOCAL_GAMMA = 2.0
CLASSES = 5

EAGER = ("nchw", "channels_last")
COMPILED = "compiled"
ONNX = "onnxruntime"
VARIANTS = (*EAGER, COMPILED, ONNX)


# The names of our configuration for a peer network's arguments.
SETTINGS = {"width": "width", "enc": "enc_blocks"}


def setting(value):
    """A value as the program's --set takes it."""
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class Work:
    """A training step or a forward pass of a network: batch images of size x size."""

    verb: str  # "step" or "infer"
    net: str
    batch: int
    size: int
    method: str = ""  # of a step: "restore" or "dcpt"
    target: float = 1.0  # for our time over that of the best PyTorch
    change: tuple = ()  # pairs of a NAFNet's argument and the value it has in place of the network's own

    def godcpt(self):
        """Arguments of the program that serves this work."""
        side = ("--method", self.method, "--patch") if self.verb == "step" else ("--size",)
        change = [part for name, value in self.change for part in ("--set", f"network.{SETTINGS[name]}={setting(value)}")]
        return ["bench", self.verb, "--net", self.net, *change, "--batch", str(self.batch), *side, str(self.size),
                "--serve"]

    def peer(self):
        """Arguments of the peers' worker that serves this work."""
        method = ["--method", self.method] if self.method else []
        change = ["--change", json.dumps(dict(self.change))] if self.change else []
        return [self.verb, "--net", self.net, *method, *change, "--batch", str(self.batch), "--size", str(self.size)]

    def network(self):
        """Kind and arguments of the peer network."""
        kind, arguments = NETS[self.net]
        return kind, {**arguments, **dict(self.change)}

    def variants(self):
        """The peers' variants."""
        return [v for v in VARIANTS if v != ONNX or self.verb == "infer"]


WORKS = {
    "step-nafnet32": Work("step", "nafnet-5d-w32", 4, 128, "restore"),
    "step-nafnet64-dcpt": Work("step", "nafnet-5d", 2, 128, "dcpt"),
    "step-restormer": Work("step", "restormer-5d", 1, 128, "restore"),
    "step-promptir": Work("step", "promptir-5d", 1, 128, "restore"),
    "step-swinir": Work("step", "swinir-5d", 1, 128, "restore"),
    "infer-nafnet32": Work("infer", "nafnet-5d-w32", 1, 256, target=0.8),
    "infer-nafnet64": Work("infer", "nafnet-5d", 1, 256, target=0.8),
    "infer-restormer": Work("infer", "restormer-5d", 1, 256, target=0.8),
}
MEMORY_TARGET = 1.2  # our peak memory over that of the fastest PyTorch
ONNX_TARGET = 1.0  # our time over ONNX Runtime's
