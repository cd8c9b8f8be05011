"""How the parts that lesson 08 builds are compared with the package's."""

from comparing import Comparison

COMPARISONS_08: dict[str, Comparison] = {}
