"""Train a network and evaluate its best checkpoint: a door to ``pafpose.cli.train``."""

from pafpose.cli.train import main

if __name__ == "__main__":
    main()
