"""Compares the peer networks and steps with the parity vectors of the official code."""

import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from . import steps
from .nets import build
from .nets.common import to_channels_last


class Worst:
    """The worst of several comparisons, each as a share of what its case tolerates."""

    def __init__(self):
        self.share, self.error, self.name = 0.0, 0.0, ""

    def add(self, name, error, tolerance):
        if not error / tolerance <= self.share:  # also true for NaN
            self.share, self.error, self.name = error / tolerance, error, name


def difference(got, want):
    """max |got - want| / max |want|."""
    return ((got - want).abs().max() / want.abs().max()).item()


def formula(name, seed, shape, offset, scale):
    """Values given by a formula of the parameter's name (section 2 of the vectors' description)."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 & (1 << 64) - 1
    with np.errstate(over="ignore"):
        i = np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
        z = np.uint64(h ^ seed) + i * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    return torch.from_numpy((offset + scale * u).astype(np.float32).reshape(shape))


def read(folder):
    with open(os.path.join(folder, "case.json")) as f:
        return json.load(f)


def weights(folder, case):
    if "weight_table" in case:
        return {
            name: formula(name, case["seed"], w["shape"], w["offset"], w["scale"])
            for name, w in case["weight_table"].items()
        }
    return load_file(os.path.join(folder, "weights.safetensors"))


def network(case):
    """The network of an array case with its constructor's arguments translated to ours."""
    c = case["constructor"]
    kind = case["architecture"]
    if kind == "NAFNetBaseline":
        return build("nafnet", width=c["width"], enc=c["enc_blk_nums"], middle=c["middle_blk_num"],
                     dec=c["dec_blk_nums"])
    if kind == "PromptIR_NoImg_DC":
        return build("classifier", dims=c["feature_dims"], blocks=c["num_res_blocks"], classes=c["num_classes"])
    if kind == "SwinIR":
        return build("swinir", dim=c["embed_dim"], depths=c["depths"], heads=c["num_heads"],
                     window=c["window_size"], mlp_ratio=c["mlp_ratio"])
    common = dict(dim=c["dim"], blocks=c["num_blocks"], refinement=c["num_refinement_blocks"], heads=c["heads"],
                  expansion=c["ffn_expansion_factor"], bias=c["bias"])
    if kind == "Restormer":
        return build("restormer", bias_free=c["LayerNorm_type"] == "BiasFree", **common)
    if kind == "PromptIR":
        sizes = case.get("scaled_hard_coded_sizes")
        if sizes:
            def listed(start):
                return next(v for k, v in sizes.items() if k.startswith(start))
            common.update(prompts=listed("prompt_dim"), sizes=listed("prompt_size"))
        return build("promptir", **common)
    raise ValueError(f"no peer network for {kind}")


def layout(tensor, channels_last):
    return tensor.contiguous(memory_format=torch.channels_last) if channels_last and tensor.dim() == 4 else tensor


def check_arrays(folder, channels_last):
    """Output and gradients of a network case."""
    case = read(folder)
    net = network(case)
    net.load_state_dict(weights(folder, case))
    if channels_last:
        to_channels_last(net)
    data = load_file(os.path.join(folder, "data.safetensors"))
    tolerance = case["tolerance"]
    worst = Worst()
    if case["architecture"] == "PromptIR_NoImg_DC":
        count = len(case["constructor"]["feature_dims"])
        inputs = {f"feature.{i}": layout(data[f"feature.{i}"], channels_last) for i in range(count)}
        for tensor in inputs.values():
            tensor.requires_grad_()
        output = net(list(inputs.values()))
        worst.add("logits", difference(output, data["logits"]), tolerance["output_rel"])
        F.cross_entropy(output, data["labels"]).backward()
    else:
        inputs = {"input": layout(data["input"], channels_last).requires_grad_()}
        output = net(inputs["input"])
        worst.add("output", difference(output, data["output"]), tolerance["output_rel"])
        output.square().mean().backward()
        if case["architecture"] == "NAFNetBaseline":
            for i, feature in enumerate(net.features(data["input"])):
                want = next(v for k, v in data.items() if k.startswith(f"feature.{i}:"))
                worst.add(f"feature.{i}", difference(feature, want), tolerance["feature_rel"])
    with torch.inference_mode():
        fast = net(list(inputs.values()) if "input" not in inputs else inputs["input"])
        worst.add("output without gradients", difference(fast, output), tolerance["output_rel"])
    parameters = dict(net.named_parameters())
    for name, want in data.items():
        if name == "grad.input" or name.startswith("grad.feature."):
            got = inputs[name.removeprefix("grad.")].grad
        elif name.startswith("grad:"):
            got = parameters[name.removeprefix("grad:")].grad
        else:
            continue
        worst.add(name, difference(got, want), tolerance["grad_rel"])
    for name, norm in case.get("grad_l2_of_every_parameter", {}).items():
        got = parameters[name].grad.norm().item()
        if norm > 0:
            worst.add(f"norm of grad:{name}", abs(got - norm) / norm, tolerance["grad_rel"])
    return worst


def adamw(options):
    return {key: options[key] for key in ("betas", "weight_decay", "eps") if key in options}


def distance(a, b):
    """L2 norm of a - b over all tensors of a state dict."""
    return sum((a[k] - b[k]).double().square().sum() for k in a).sqrt().item()


def check_trace(folder, channels_last):
    """Losses and final weights of a training trace."""
    case = read(folder)
    start = os.path.join(os.path.dirname(folder), case.get("initial_weights_and_batches_from") or case["case"])
    a = case["architecture_g"]
    net = build("nafnet", width=a["width"], enc=a["enc_blk_nums"], middle=a["middle_blk_num"], dec=a["dec_blk_nums"])
    initial = {"net_g": load_file(os.path.join(start, "initial_net_g.safetensors"))}
    net.load_state_dict(initial["net_g"])
    nets = {"net_g": net}
    train = case["options"]["train"]
    if case["model_class"] == "DCPTModel":
        d = case["architecture_dc"]
        dc = nets["net_dc"] = build("classifier", dims=d["feature_dims"], blocks=d["num_res_blocks"],
                                    classes=d["num_classes"])
        initial["net_dc"] = load_file(os.path.join(start, "initial_net_dc.safetensors"))
        dc.load_state_dict(initial["net_dc"])
    if channels_last:
        for n in nets.values():
            to_channels_last(n)
    if case["model_class"] == "DCPTModel":
        step = steps.Dcpt(net, dc, adamw(train["optim_g"]), adamw(train["optim_dc"]), train["classify_opt"]["gamma"])
        optimizers, terms = step.optimizers, ("l_pix", "l_classify")
    else:
        step = steps.Restore(net, adamw(train["optim_g"]))
        optimizers, terms = [step.optimizer], ("l_pix",)

    batches = load_file(os.path.join(start, "data.safetensors"))
    worst = Worst()
    for i, want in enumerate(case["steps"], 1):
        for optimizer, rate in zip(optimizers, want["lr_per_optimizer"]):
            optimizer.param_groups[0]["lr"] = rate
        lq, gt = (layout(batches[f"step{i}.{name}"], channels_last) for name in ("lq", "gt"))
        losses = step(lq, gt, batches[f"step{i}.dataset_idx"])
        for name, loss in zip(terms, losses):
            worst.add(f"{name} of step {i}", abs(loss - want[name]), case["tolerance"]["losses_abs"])

    tolerance = case["tolerance"]["final_weights_relative_update_l2"]
    for name, n in nets.items():
        want = load_file(os.path.join(folder, f"final_{name}.safetensors"))
        error = distance(n.state_dict(), want) / distance(want, initial[name])
        worst.add(f"final {name}", error, tolerance)
    return worst


CASES = {
    "nafnet_w8_small": check_arrays,
    "nafnet_w8_multi_dec": check_arrays,
    "nafnet_w8_paper_depth": check_arrays,
    "nafnet_paper_formula": check_arrays,
    "restormer_biasfree": check_arrays,
    "restormer_withbias": check_arrays,
    "promptir_scaled_dim8": check_arrays,
    "promptir_dim48_formula": check_arrays,
    "swinir_e12": check_arrays,
    "dc_noimg_nafnet": check_arrays,
    "dc_noimg_res2": check_arrays,
    "trace_dcpt_eps": check_trace,
    "trace_finetune_l1_ema": check_trace,
}


def main(folder):
    """Checks every case in both layouts; returns whether all agree. folder: the parity vectors."""
    if not os.path.isdir(folder):
        print(f"SKIPPED: the vectors of the official code are not in {folder}")
        return True
    good = True
    print(f"{'case':24} {'layout':14} {'worst':>9} {'of tolerance':>13}  where")
    for name, compare in CASES.items():
        for channels_last in (False, True):
            worst = compare(os.path.join(folder, name), channels_last)
            ok = worst.share <= 1
            good &= ok
            form = "channels_last" if channels_last else "nchw"
            print(f"{name:24} {form:14} {worst.error:9.1e} {worst.share:12.0%}  {worst.name}{'' if ok else '  FAILED'}")
    return good
