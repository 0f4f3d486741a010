"""Export a network to ONNX or a folder: a door to ``pafpose.cli.export``."""

from pafpose.cli.export import main

if __name__ == "__main__":
    main()
