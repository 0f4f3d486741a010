"""Convert published weights to a checkpoint: a door to ``pafpose.cli.convert``."""

from pafpose.cli.convert import main

if __name__ == "__main__":
    main()
