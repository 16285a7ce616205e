"""What this machine is."""

import os


def cores():
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def available_memory():
    """Bytes of memory that are free or can be freed."""
    with open("/proc/meminfo") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("MemAvailable")) * 1024


# The features of a CPU that decide how fast it multiplies, the best first.
FEATURES = ["amx_bf16", "avx512_bf16", "avx512_vnni", "avx512f", "avx2", "fma", "asimd"]


def describe():
    """Cores, model and features of the CPU."""
    fields = {}
    with open("/proc/cpuinfo") as f:
        for line in f:
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", "")).split()
    return {
        "cores": cores(),
        "cpu": fields.get("model name", "unknown"),
        "features": " ".join(f for f in FEATURES if f in flags),
    }
