"""Find people in photos: a door to ``pafpose.cli.predict``."""

from pafpose.cli.predict import main

if __name__ == "__main__":
    main()
