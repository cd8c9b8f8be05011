"""Checks of all exercises: check_…(your_function) says not yet, passed, failed or raised, and why."""

from skiprec_lite.checks.beyond import *
from skiprec_lite.checks.blind_spots import *
from skiprec_lite.checks.depth import *
from skiprec_lite.checks.engine import Check as Check
from skiprec_lite.checks.engine import NotPassed as NotPassed
from skiprec_lite.checks.engine import Outcome as Outcome
from skiprec_lite.checks.engine import Verdict as Verdict
from skiprec_lite.checks.gumbel import *
from skiprec_lite.checks.next_item import *
from skiprec_lite.checks.nextitnet import *
from skiprec_lite.checks.skiprec import *
from skiprec_lite.checks.speed import *
from skiprec_lite.checks.straight_through import *
from skiprec_lite.checks.students import seed_of as seed_of
from skiprec_lite.checks.temperature import *
from skiprec_lite.checks.verdict import *

CHECKS: dict[str, Check] = {check.part: check for check in [*globals().values()] if isinstance(check, Check)}
