"""``python -m pafpose train ...`` runs what ``pafpose train ...`` runs."""

from pafpose.cli.main import main

if __name__ == "__main__":
    main()
