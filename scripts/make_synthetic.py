"""Write drawn people in COCO's layout: a door to ``pafpose.cli.make_synthetic``."""

from pafpose.cli.make_synthetic import main

if __name__ == "__main__":
    main()
