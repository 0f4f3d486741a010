"""The pages of the documentation, and what Sphinx needs to build them: ``make docs``."""
