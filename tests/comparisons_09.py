"""How the parts that lesson 09 builds are compared with the package's."""

from comparing import Comparison

COMPARISONS_09: dict[str, Comparison] = {}
