"""How each part that lesson 05 builds is compared with the package's."""

from comparing import Comparison

COMPARISONS_05: dict[str, Comparison] = {}
