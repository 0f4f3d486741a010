"""Audit a data set before training: a door to ``pafpose.cli.check_data``."""

from pafpose.cli.check_data import main

if __name__ == "__main__":
    main()
