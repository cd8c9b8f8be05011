"""How the parts that lesson 07 builds are compared with the package's."""

from comparing import Comparison

COMPARISONS_07: dict[str, Comparison] = {}
