"""Runs our program and its peers in turn on the same works and compares what they take."""

import contextlib
import csv
import io
import json
import os
import random
import select
import statistics
import subprocess
import sys
import tempfile
import time

from . import machine, works

OURS = "godcpt"
# The allocator's settings that our program makes for itself (internal/backend/allocator.go).
TUNABLES = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=8589934592:glibc.malloc.arena_max=1"
RUN_LIMIT = 120.0  # seconds for one run
MEMORY_MARGIN = 1.3  # how much more memory than its peers so far a process may need


class WorkerError(Exception):
    """A worker that failed, or did not answer in time."""


class Worker:
    """A process that speaks the protocol of `godcpt bench --serve`."""

    def __init__(self, name, command, env, limit):
        """Starts the process and waits for its first run; limit: seconds for that."""
        self.name = name
        self.runs = []
        self._answers = b""
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, bufsize=0
        )
        try:
            self.start = self._answer(limit)
        except WorkerError:
            self.close()
            raise

    def run(self):
        """Does one run and notes what it took."""
        with contextlib.suppress(BrokenPipeError):  # the answer says more
            self._process.stdin.write(b"run\n")
        self.runs.append(self._answer(RUN_LIMIT))

    def _answer(self, limit):
        deadline = time.monotonic() + limit
        while b"\n" not in self._answers:
            if not select.select([self._process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise WorkerError(f"no answer in {limit:.0f} s")
            got = os.read(self._process.stdout.fileno(), 1 << 16)
            if not got:
                raise WorkerError(f"it ended: {self._last_words()}")
            self._answers += got
        line, _, self._answers = self._answers.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            raise WorkerError(f"not an answer: {line[:200]!r}") from None
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _last_words(self):
        status = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"status {status}"

    def close(self):
        """Ends the process, by force if it does not end by itself."""
        self._process.stdin.close()
        try:
            self._process.wait(10 if hasattr(self, "start") else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def seconds(self):
        return [run["seconds"] for run in self.runs]

    def peak(self):
        """The most memory held, in bytes."""
        return max((run["peak_bytes"] for run in self.runs), default=0)


class Starter:
    """Makes the workers of works."""

    def __init__(self, godcpt, python, folder, peer_env, compile_limit):
        """folder: for ONNX files; peer_env: what peers get in addition to this process's environment."""
        self.godcpt, self.folder = godcpt, folder
        self._worker = [python, "-m", "peernets.worker"]
        self.peer_env = {**os.environ, **peer_env}
        self.compile_limit = compile_limit

    def ours(self, work):
        return Worker(OURS, [self.godcpt, *work.godcpt()], dict(os.environ), self.compile_limit)

    def peer(self, work, variant):
        command = [*self._worker, *work.peer(), "--variant", variant]
        if variant == works.ONNX:
            command += ["--model", self._model(work)]
        return Worker(variant, command, self.peer_env, self.compile_limit)

    def _model(self, work):
        """The network's ONNX file, written by a process of its own: it must not count as the peer's memory."""
        path = os.path.join(self.folder, f"{work.net}-{work.batch}-{work.size}.onnx")
        if not os.path.exists(path):
            Worker("export", [*self._worker, *work.peer(), "--export", path], self.peer_env,
                   self.compile_limit).close()
        return path


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


def start_all(starter, work, variants, available=machine.available_memory):
    """Starts our worker and its peers one after another. Returns the workers, and why others are missing.

    Where memory gets short, the slowest peer so far goes: only the fastest counts.
    """
    workers, missing = [], {}
    for name in [OURS, *variants]:
        peaks = [worker.peak() for worker in workers]
        if peaks and available() < MEMORY_MARGIN * max(peaks):
            peers = [worker for worker in workers if worker.name not in (OURS, works.ONNX)]
            if len(peers) < 2:
                missing[name] = "not enough memory beside the others"
                continue
            slowest = max(peers, key=lambda worker: min(worker.seconds()))
            missing[slowest.name] = f"slowest, {min(slowest.seconds()):.3f} s; its memory was needed"
            workers.remove(slowest)
            slowest.close()
        say(f"  starting {name}")
        worker = None
        try:
            worker = starter.ours(work) if name == OURS else starter.peer(work, name)
            worker.run()
            workers.append(worker)
        except (WorkerError, OSError) as e:
            missing[name] = str(e)
            say(f"  without {name}: {e}")
            if worker:
                worker.close()
    return workers, missing


def measure(starter, work, rounds, shuffle, variants=None):
    """Runs all workers of a work, one at a time, in random order in each round.

    Returns results by name (see summary) and why others are missing.
    """
    workers, missing = start_all(starter, work, work.variants() if variants is None else variants)
    try:
        for worker in workers:
            worker.runs.clear()
        for _ in range(rounds):
            order = list(workers)
            shuffle(order)
            for worker in order:
                try:
                    worker.run()
                except WorkerError as e:
                    missing[worker.name] = str(e)
                    say(f"  without {worker.name}: {e}")
                    workers.remove(worker)
                    worker.close()
        return {worker.name: summary(worker) for worker in workers}, missing
    finally:
        for worker in workers:
            worker.close()


def summary(worker):
    """What a worker's runs took: seconds, bytes."""
    seconds = worker.seconds()
    if len(seconds) > 1:
        q1, median, q3 = statistics.quantiles(seconds, n=4, method="inclusive")
    else:
        q1 = median = q3 = seconds[0]
    return {
        "min": min(seconds), "median": median, "q1": q1, "q3": q3, "n": len(seconds), "seconds": seconds,
        "cpu_min": min(run["cpu_seconds"] for run in worker.runs),
        "peak_bytes": worker.peak(),
        "start_seconds": worker.start["start_seconds"],
        "first_seconds": worker.start["first_seconds"],
        "threads": worker.start["threads"],
        "versions": worker.start["versions"],
    }


def ratios(results):
    """Our figures over those of the best PyTorch and of ONNX Runtime, by the ending of their name."""
    ours = results.get(OURS)
    torch = {name: r for name, r in results.items() if name not in (OURS, works.ONNX)}
    found = {}
    if ours and torch:
        fastest = min(torch.values(), key=lambda r: r["min"])
        found[""] = ours["min"] / fastest["min"]
        found["_median"] = ours["median"] / min(r["median"] for r in torch.values())
        found["_memory"] = ours["peak_bytes"] / fastest["peak_bytes"]
    if ours and works.ONNX in results:
        onnx = results[works.ONNX]
        found["_onnxruntime"] = ours["min"] / onnx["min"]
        found["_onnxruntime_median"] = ours["median"] / onnx["median"]
    return found


def targets(work):
    """The most that each ratio of a work may be, by the ending of its name."""
    wanted = {"": work.target, "_median": work.target, "_memory": works.MEMORY_TARGET}
    if work.verb == "infer":
        wanted.update(_onnxruntime=works.ONNX_TARGET, _onnxruntime_median=works.ONNX_TARGET)
    return wanted


def verdict(work, found):
    """Which targets are missed, "met" if none."""
    labels = {"": "minimum", "_median": "median", "_memory": "memory", "_onnxruntime": "ONNX minimum",
              "_onnxruntime_median": "ONNX median"}
    wanted = targets(work)
    words = []
    over = [labels[key] for key in wanted if found.get(key, 0) > wanted[key]]
    unknown = [labels[key] for key in wanted if key not in found]
    if over:
        words.append("MISSED: " + ", ".join(over))
    if unknown:
        words.append("not measured: " + ", ".join(unknown))
    return "; ".join(words) or "met"


def table(all_results):
    """The comparison as text; all_results: (name, work, results, missing)."""
    out = io.StringIO()
    rows = [["work", "program", "min s", "median s", "quartiles s", "CPU s", "peak MB", "start s",
             "ours/it min", "median", "memory"]]
    notes = []
    for name, work, results, missing in all_results:
        ours = results.get(OURS)
        for who, r in sorted(results.items(), key=lambda item: (item[0] != OURS, item[1]["min"])):
            row = [name, who, f"{r['min']:.3f}", f"{r['median']:.3f}", f"{r['q1']:.3f}-{r['q3']:.3f}",
                   f"{r['cpu_min']:.2f}", f"{r['peak_bytes'] / 2**20:.0f}", f"{r['start_seconds']:.1f}"]
            if ours and who != OURS:
                row += [f"{ours[key] / r[key]:.2f}" for key in ("min", "median", "peak_bytes")]
            rows.append(row + [""] * (len(rows[0]) - len(row)))
        found = ratios(results)
        parts = [f"{key.strip('_').replace('_', ' ') or 'minimum'} {value:.2f} (at most {targets(work)[key]})"
                 for key, value in found.items()]
        notes.append(f"{name}: {', '.join(parts) or 'no ratio'}: {verdict(work, found)}")
        notes += [f"  without {who}: {why}" for who, why in missing.items()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:])]
        print("  ".join(left + right).rstrip(), file=out)
    print("\nOurs over the best PyTorch, and over ONNX Runtime:", file=out)
    print("\n".join(notes), file=out)
    return out.getvalue()


def write_atomically(path, text):
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", newline="") as f:
            f.write(text)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def as_json(all_results, rounds):
    found = {}
    details = {}
    for name, work, results, missing in all_results:
        found.update({name + key: value for key, value in ratios(results).items()})
        details[name] = {"results": results, "missing": missing, "targets": targets(work),
                         "verdict": verdict(work, ratios(results))}
    return json.dumps({"ratios": found, "rounds": rounds, "machine": machine.describe(), "works": details}, indent=1)


COLUMNS = ["work", "implementation", "variant", "min_s", "median_s", "q1_s", "q3_s", "n", "cpu_s", "peak_bytes",
           "start_s", "threads", "versions", "cores", "cpu", "features"]


def as_csv(all_results):
    host = machine.describe()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, _, results, _ in all_results:
        for who, r in results.items():
            implementation = who if who in (OURS, works.ONNX) else "pytorch"
            versions = " ".join(f"{key}={value}" for key, value in r["versions"].items() if value)
            times = [f"{r[key]:.4f}" for key in ("min", "median", "q1", "q3")]
            writer.writerow([name, implementation, "" if who == implementation else who, *times, r["n"],
                             f"{r['cpu_min']:.3f}", r["peak_bytes"], f"{r['start_seconds']:.2f}", r["threads"],
                             versions, host["cores"], host["cpu"], host["features"]])
    return out.getvalue()


def main(starter, names, rounds, seed, json_path=None, csv_path=None):
    """Compares the named works; returns whether our program ran in all of them."""
    shuffle = random.Random(seed).shuffle
    all_results = []
    for name in names:
        say(name)
        work = works.WORKS[name]
        all_results.append((name, work, *measure(starter, work, rounds, shuffle)))
        # After each work: what was measured is not lost if a later one fails.
        if json_path:
            write_atomically(json_path, as_json(all_results, rounds) + "\n")
        if csv_path:
            write_atomically(csv_path, as_csv(all_results))
    print(table(all_results), end="")
    return all(OURS in results for _, _, results, _ in all_results)
