"""Draw samples and their targets: a door to ``pafpose.cli.visualize``."""

from pafpose.cli.visualize import main

if __name__ == "__main__":
    main()
