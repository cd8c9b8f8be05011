"""How the parts that lesson 07b builds are compared with the package's."""

from comparing import Comparison

COMPARISONS_07B: dict[str, Comparison] = {}
