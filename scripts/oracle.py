"""Compute the AP a perfect network could reach: a door to ``pafpose.cli.oracle``."""

from pafpose.cli.oracle import main

if __name__ == "__main__":
    main()
