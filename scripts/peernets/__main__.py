"""Command line of scripts/peers."""

import argparse
import os
import shutil
import sys
import tempfile

from . import compare, works

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def parse(argv):
    parser = argparse.ArgumentParser(prog="scripts/peers", formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare the peer networks with the official code's vectors")
    what.add_argument("--list", action="store_true", help="name the works")
    what.add_argument("--scaling", action="store_true",
                      help="measure how cost grows; writes scaling.csv and plots to docs/results/bench")
    parser.add_argument("--work", nargs="+", choices=works.WORKS, metavar="NAME", default=list(works.WORKS),
                        help="only these works")
    parser.add_argument("--rounds", type=int, default=10, help="runs of each program (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the order in a round")
    parser.add_argument("--json", metavar="FILE", help="write ratios and all times")
    parser.add_argument("--csv", metavar="FILE", help="write a row for each program and work")
    parser.add_argument("--compile-limit", type=float, default=300, metavar="SECONDS",
                        help="for a program's start with its first run, in which it may compile (default 300)")
    parser.add_argument("--tuned-peers", action="store_true",
                        help=f"run the peers too with the allocator's settings that our program makes for itself ({compare.TUNABLES})")
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def list_works():
    for name, w in works.WORKS.items():
        method = f", {w.method}" if w.method else ""
        print(f"{name:20} {w.verb} {w.net}{method}, batch {w.batch}, {w.size}x{w.size}: at most {w.target}")


def main(argv):
    args = parse(argv)
    if args.list:
        list_works()
        return 0
    if args.check:
        from . import check

        return 0 if check.main(os.path.join(ROOT, "..", "shared", "parity")) else 1
    if not shutil.which("g++"):
        print("peers: g++ is missing: torch.compile is left out, the ratios are of PyTorch without it", file=sys.stderr)
    peer_env = {"GLIBC_TUNABLES": compare.TUNABLES} if args.tuned_peers else {}
    with tempfile.TemporaryDirectory() as folder:
        starter = compare.Starter(os.environ["GODCPT"], sys.executable, folder, peer_env, args.compile_limit)
        if args.scaling:
            from . import scaling

            return 0 if scaling.main(starter, os.path.join(ROOT, "docs", "results", "bench")) else 1
        return 0 if compare.main(starter, args.work, args.rounds, args.seed, args.json, args.csv) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
