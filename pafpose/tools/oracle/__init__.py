"""Measure what a perfect network could reach: decode the drawn targets, and find what limits their AP."""

from pafpose.tools.oracle.annotated_photos import AnnotatedPhoto, read_annotated_photos
from pafpose.tools.oracle.bounds import BOUNDS
from pafpose.tools.oracle.run import OracleResult, run_oracle
from pafpose.tools.oracle.settings import OracleSettings

__all__ = [
    "BOUNDS",
    "AnnotatedPhoto",
    "OracleResult",
    "OracleSettings",
    "read_annotated_photos",
    "run_oracle",
]
