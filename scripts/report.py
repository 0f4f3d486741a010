"""Report on a sweep in one HTML page: a door to ``pafpose.cli.report``."""

from pafpose.cli.report import main

if __name__ == "__main__":
    main()
