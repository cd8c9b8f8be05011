"""How the parts that lesson 10 builds are compared with the package's."""

from comparing import Comparison

COMPARISONS_10: dict[str, Comparison] = {}
