"""Serves one work with PyTorch or ONNX Runtime, one process each.

Speaks the protocol of `godcpt bench step|infer --serve`: after its first run one line of JSON that says
what the start took, then for each line "run" one run and a line of JSON with what it took.
"""

import argparse
import json
import os
import platform
import sys
import time

from . import machine, works


def since_start():
    """Seconds since this process began, exact to 0.02 s (proc(5))."""
    with open("/proc/self/stat") as f:
        start = float(f.read().rpartition(")")[2].split()[22 - 3])
    with open("/proc/uptime") as f:
        return float(f.read().split()[0]) - start / os.sysconf("SC_CLK_TCK")


def peak_bytes():
    """The most memory this process has held so far."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) * 1024


def timed(run):
    start, cpu = time.perf_counter(), time.process_time()
    run()
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": peak_bytes(),
    }


def job(work, variant, model):
    """What runs the work, and the versions of what it uses.

    The libraries are imported here: one peer must not pay for what only another needs.
    """
    if variant == works.ONNX:
        from . import onnx_job

        return onnx_job.prepare(work, model), onnx_job.versions()
    from . import torch_job

    return torch_job.prepare(work, variant), torch_job.versions()


def serve(work, variant, model, requests, answer):
    run, versions = job(work, variant, model)
    first = timed(run)
    answer({
        "ready": True,
        "start_seconds": since_start(),
        "first_seconds": first["seconds"],
        "threads": machine.cores(),
        "versions": {"python": platform.python_version(), **versions},
    })
    for line in requests:
        if line.strip() != "run":
            raise ValueError(f"unknown request {line.strip()!r}: it must be run")
        answer(timed(run))


def parse(argv):
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("verb", choices=["step", "infer"])
    parser.add_argument("--net", required=True, choices=works.NETS)
    parser.add_argument("--method", default="")
    parser.add_argument("--change", type=json.loads, default={}, help="arguments of the network, JSON")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--variant", choices=works.VARIANTS)
    what.add_argument("--export", metavar="FILE", help="only write the network as ONNX")
    parser.add_argument("--model", metavar="FILE", help="the ONNX file that ONNX Runtime runs")
    return parser.parse_args(argv)


def main(argv):
    args = parse(argv)
    # What libraries print must not come between the answers.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(values):
        out.write(json.dumps(values) + "\n")

    try:
        work = works.Work(args.verb, args.net, args.batch, args.size, args.method,
                          change=tuple(args.change.items()))
        if args.export:
            from . import torch_job

            torch_job.export(work, args.export)
            answer({"ready": True})
        else:
            serve(work, args.variant, args.model, sys.stdin, answer)
    except Exception as e:  # whatever it is, the other side must hear of it
        answer({"error": f"{type(e).__name__}: {e}".splitlines()[0]})
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
