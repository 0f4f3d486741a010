"""Evaluate a checkpoint: a door to ``pafpose.cli.evaluate``."""

from pafpose.cli.evaluate import main

if __name__ == "__main__":
    main()
