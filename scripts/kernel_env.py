"""Adds the environment that the gonb kernel needs to its kernel.json.

Usage: kernel_env.py KERNEL_JSON BIN_FOLDER

So a notebook runs the same from JupyterLab, an editor or the tests, whatever was exported before.
"""

import json
import os
import sys

# How XLA's temporaries are allocated, as the command line sets it (internal/backend/allocator.go).
allocator = ["glibc.malloc.hugetlb=1", "glibc.malloc.mmap_max=0", "glibc.malloc.trim_threshold=8589934592"]
if os.cpu_count() <= 8:
    allocator.append("glibc.malloc.arena_max=1")

path, bin_folder = sys.argv[1:]
with open(path) as f:
    spec = json.load(f)
spec["env"] = {
    # gonb calls goimports; Jupyter replaces ${PATH} when it starts the kernel.
    "PATH": bin_folder + ":${PATH}",
    # Plugins are installed by GoDCPT's own way of opening the backend.
    "GOMLX_NO_AUTO_INSTALL": "1",
    "GLIBC_TUNABLES": ":".join(allocator),
}
with open(path, "w") as f:
    json.dump(spec, f, indent=2)
