"""Adds the environment that the gonb kernel needs to its kernel.json.

Usage: kernel_env.py KERNEL_JSON BIN_FOLDER

So a notebook runs the same from JupyterLab, an editor or the tests, whatever was exported before.
"""

import json
import sys

path, bin_folder = sys.argv[1:]
with open(path) as f:
    spec = json.load(f)
spec["env"] = {
    # gonb calls goimports; Jupyter replaces ${PATH} when it starts the kernel.
    "PATH": bin_folder + ":${PATH}",
    # Plugins are installed by GoDCPT's own way of opening the backend.
    "GOMLX_NO_AUTO_INSTALL": "1",
    # Huge pages for XLA's temporaries, as the command line takes them: read by glibc only.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
with open(path, "w") as f:
    json.dump(spec, f, indent=2)
