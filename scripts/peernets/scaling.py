"""Measures how the cost of NAFNet grows: with the image, the batch, the width and the depth."""

import csv
import io
import os
import random

from . import compare, machine, works
from .works import Work

NET = "nafnet-5d-w32"
ROUNDS = 5
# What the sweeps change one at a time: small, so that all of them take a few minutes.
BASE = dict(size=128, batch=1, width=16, depth=4)
SWEEPS = {
    "size": ("side of the image, pixels", (64, 128, 256, 384)),
    "batch": ("images in a step", (1, 2, 4, 8)),
    "width": ("channels of the first level", (8, 16, 32, 64)),
    "depth": ("blocks of the last encoder level", (1, 4, 12, 28)),
}
COLUMNS = ["sweep", "value", "verb", "implementation", "min_s", "median_s", "peak_bytes", "start_s"]


def work_at(verb, point):
    method = "restore" if verb == "step" else ""
    change = (("width", point["width"]), ("enc", (1, 1, 1, point["depth"])))
    return Work(verb, NET, point["batch"], point["size"], method, change=change)


def sweep_rows(starter, name):
    """Rows of one sweep: our program and the fastest eager PyTorch."""
    rows = []
    for value in SWEEPS[name][1]:
        for verb in ("step", "infer"):
            compare.say(f"{verb}, {name} {value}")
            work = work_at(verb, {**BASE, name: value})
            results, missing = compare.measure(starter, work, ROUNDS, random.Random(1).shuffle, works.EAGER)
            if compare.OURS not in results or len(results) < 2:
                raise compare.WorkerError("; ".join(f"{who}: {why}" for who, why in missing.items()))
            ours = results.pop(compare.OURS)
            fastest = min(results.values(), key=lambda r: r["min"])
            for who, r in ((compare.OURS, ours), ("pytorch", fastest)):
                rows.append([name, value, verb, who, f"{r['min']:.4f}", f"{r['median']:.4f}", r["peak_bytes"],
                             f"{r['start_seconds']:.2f}"])
    return rows


def plot(name, rows, path):
    """Draws a sweep: seconds over the value, both logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = name  # the same file for the same figures
    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    for verb, mark, label in (("step", "o", "training step"), ("infer", "s", "restoring")):
        for who, line in ((compare.OURS, "-"), ("pytorch", "--")):
            points = [(row[1], float(row[4])) for row in rows if row[2:4] == [verb, who]]
            axes.plot(*zip(*points), line, marker=mark, label=f"{who}, {label}")
    title, values = SWEEPS[name]
    axes.set(xlabel=title, ylabel="seconds, minimum of %d" % ROUNDS, xscale="log", yscale="log")
    axes.set_xticks(values, [str(v) for v in values])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    others = ", ".join(f"{key} {value}" for key, value in BASE.items() if key != name)
    axes.set_title(f"NAFNet ({others}), {machine.cores()} cores", fontsize="medium")
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    compare.write_atomically(path, text.getvalue())


def main(starter, folder):
    """Measures all sweeps; writes scaling.csv and a plot of each to the folder. Returns whether all ran."""
    os.makedirs(folder, exist_ok=True)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name in SWEEPS:
        try:
            rows = sweep_rows(starter, name)
        except compare.WorkerError as e:
            compare.say(f"{name}: {e}")
            return False
        writer.writerows(rows)
        plot(name, rows, os.path.join(folder, f"scaling-{name}.svg"))
        compare.write_atomically(os.path.join(folder, "scaling.csv"), out.getvalue())
        print(f"{name}: {os.path.join(folder, f'scaling-{name}.svg')}")
    return True
