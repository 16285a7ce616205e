"""Runs a notebook through a Jupyter kernel, without a browser.

Usage: run_notebook.py NOTEBOOK EXECUTED [SECONDS_PER_CELL]

Writes the notebook with its outputs to EXECUTED, also when a cell fails. Exit status 1 and the
failing cell on standard error if a cell fails, runs for too long, or the kernel dies.
"""

import os
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError


def main() -> int:
    source, executed = sys.argv[1:3]
    timeout = int(sys.argv[3]) if len(sys.argv) > 3 else 600
    notebook = nbformat.read(source, as_version=4)
    folder = os.path.dirname(os.path.abspath(source))
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name=notebook.metadata.get("kernelspec", {}).get("name", "gonb"),
        coalesce_streams=True,  # a progress bar is one output, not hundreds
        resources={"metadata": {"path": folder}},  # the cells' working folder
    )
    try:
        client.execute()  # ends the kernel in any case, also on SIGTERM
    except (CellExecutionError, CellControlSignal, DeadKernelError) as failure:
        print(f"{source}: {type(failure).__name__}\n{failure}", file=sys.stderr)
        return 1
    finally:
        nbformat.write(notebook, executed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
