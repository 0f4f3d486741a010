"""How code meets the machine: compiled kernels, precision, memory, files, logs, the state of a run."""
