"""Tests of the comparison against workers that only pretend: they need no package."""

import contextlib
import csv
import io
import json
import os
import sys
import tempfile
import unittest

from . import compare, works

# A worker that takes the seconds it is given, and answers one request too few when asked to fail.
FAKE = """
import json, sys
seconds, peak, fail = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if fail == "start":
    print(json.dumps({"error": "no such network"})); sys.exit(1)
if fail == "crash":
    print("out of luck", file=sys.stderr); sys.exit(3)
if fail == "silent":
    sys.stdin.read()
if fail == "garbage":
    print("hello"); sys.stdout.flush()
print(json.dumps({"ready": True, "start_seconds": 2.5, "first_seconds": 1, "threads": 2, "versions": {"x": "1"}}))
sys.stdout.flush()
for n, line in enumerate(sys.stdin):
    assert line == "run\\n", line
    if fail == "later" and n == 2:
        print(json.dumps({"error": "it broke"})); sys.exit(1)
    print(json.dumps({"seconds": seconds + n / 1000, "cpu_seconds": 2 * seconds, "peak_bytes": peak}))
    sys.stdout.flush()
"""


def fake(name, seconds=1.0, peak=100, fail="", limit=30):
    command = [sys.executable, "-c", FAKE, str(seconds), str(peak), fail]
    return compare.Worker(name, command, dict(os.environ), limit)


class FakeStarter:
    def __init__(self, **workers):
        self.workers = workers

    def ours(self, work):
        return fake(compare.OURS, **self.workers[compare.OURS])

    def peer(self, work, variant):
        return fake(variant, **self.workers[variant])


def forward(order):
    """A shuffle that leaves the order."""


def result(seconds, peak=100):
    return {"min": seconds, "median": 2 * seconds, "q1": seconds, "q3": 3 * seconds, "n": 3, "cpu_min": seconds,
            "peak_bytes": peak, "start_seconds": 1.0, "threads": 2, "versions": {"torch": "2"}}


class TestWorker(unittest.TestCase):
    def test_runs(self):
        worker = fake("w", seconds=0.5, peak=7)
        self.addCleanup(worker.close)
        worker.run()
        worker.run()
        self.assertEqual(worker.seconds(), [0.5, 0.501])
        self.assertEqual(worker.peak(), 7)
        self.assertEqual(worker.start["start_seconds"], 2.5)

    def test_failures(self):
        for fail, said in (("start", "no such network"), ("crash", "out of luck"), ("silent", "no answer"),
                           ("garbage", "not an answer")):
            with self.subTest(fail), self.assertRaisesRegex(compare.WorkerError, said):
                fake("w", fail=fail, limit=0.2 if fail == "silent" else 30)


class TestMeasure(unittest.TestCase):
    work = works.Work("infer", "nafnet-5d", 1, 64)

    def measure(self, rounds=3, **workers):
        with contextlib.redirect_stderr(io.StringIO()):
            return compare.measure(FakeStarter(**workers), self.work, rounds, forward,
                                   [name for name in workers if name != compare.OURS])

    def test_every_round_runs_each(self):
        results, missing = self.measure(godcpt=dict(seconds=1), nchw=dict(seconds=2))
        self.assertEqual(missing, {})
        # The first run after the start warms up and does not count.
        self.assertEqual(results["godcpt"]["seconds"], [1.001, 1.002, 1.003])
        self.assertEqual(results["nchw"]["seconds"], [2.001, 2.002, 2.003])
        self.assertAlmostEqual(results["nchw"]["median"], 2.002)

    def test_a_worker_that_fails_is_left_out(self):
        results, missing = self.measure(godcpt={}, nchw=dict(fail="start"), compiled=dict(fail="later"),
                                        channels_last={})
        self.assertEqual(set(results), {"godcpt", "channels_last"})
        self.assertEqual(missing, {"nchw": "no such network", "compiled": "it broke"})

    def test_short_memory_drops_the_slowest(self):
        starter = FakeStarter(godcpt={}, nchw=dict(seconds=3), channels_last=dict(seconds=2), compiled={})
        free = iter([1000, 1000, 100])
        with contextlib.redirect_stderr(io.StringIO()):
            workers, missing = compare.start_all(starter, self.work, ["nchw", "channels_last", "compiled"],
                                                 lambda: next(free))
        for worker in workers:
            self.addCleanup(worker.close)
        self.assertEqual([worker.name for worker in workers], ["godcpt", "channels_last", "compiled"])
        self.assertIn("memory", missing["nchw"])


class TestFigures(unittest.TestCase):
    work = works.Work("infer", "nafnet-5d", 1, 64, target=0.8)
    results = {"godcpt": result(1.0, 150), "nchw": result(2.0, 50), "compiled": result(1.25, 100),
               "onnxruntime": result(0.5)}

    def test_ratios_are_to_the_fastest_pytorch(self):
        self.assertEqual(compare.ratios(self.results), {
            "": 0.8, "_median": 0.8, "_memory": 1.5, "_onnxruntime": 2.0, "_onnxruntime_median": 2.0})
        self.assertEqual(compare.ratios({"nchw": result(1)}), {})

    def test_verdict(self):
        for found, want in (
            (compare.ratios(self.results), "MISSED: memory, ONNX minimum, ONNX median"),
            ({"": 0.7, "_median": 0.8, "_memory": 1, "_onnxruntime": 1, "_onnxruntime_median": 1}, "met"),
            ({"": 0.9, "_median": 0.8, "_memory": 1}, "MISSED: minimum; not measured: ONNX minimum, ONNX median"),
        ):
            self.assertEqual(compare.verdict(self.work, found), want)

    def test_output(self):
        everything = [("infer-x", self.work, self.results, {"channels_last": "broke"})]
        text = compare.table(everything)
        self.assertIn("minimum 0.80 (at most 0.8)", text)
        self.assertIn("without channels_last: broke", text)
        rows = list(csv.DictReader(io.StringIO(compare.as_csv(everything))))
        self.assertEqual([(row["implementation"], row["variant"]) for row in rows],
                         [("godcpt", ""), ("pytorch", "nchw"), ("pytorch", "compiled"), ("onnxruntime", "")])
        self.assertEqual(json.loads(compare.as_json(everything, 3))["ratios"]["infer-x_memory"], 1.5)

    def test_files_appear_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "f")
            compare.write_atomically(path, "text")
            self.assertEqual(os.listdir(folder), ["f"])
            with self.assertRaises(TypeError):
                compare.write_atomically(path, b"not text")
            self.assertEqual(os.listdir(folder), ["f"])
            with open(path) as f:
                self.assertEqual(f.read(), "text")


class TestWorks(unittest.TestCase):
    def test_command_lines(self):
        step = works.WORKS["step-nafnet64-dcpt"]
        self.assertEqual(" ".join(step.godcpt()),
                         "bench step --net nafnet-5d --batch 2 --method dcpt --patch 128 --serve")
        changed = works.Work("infer", "nafnet-5d-w32", 1, 64, change=(("width", 8), ("enc", (1, 2))))
        self.assertEqual(changed.godcpt()[4:8], ["--set", "network.width=8", "--set", "network.enc_blocks=[1,2]"])
        self.assertEqual(changed.network()[1]["width"], 8)


if __name__ == "__main__":
    unittest.main()
