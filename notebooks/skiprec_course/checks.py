"""Checks of all exercises: check_…(your_function) says not yet, passed, failed or raised, and why."""

from skiprec_course.beyond.checks import *
from skiprec_course.blind_spots.checks import *
from skiprec_course.depth.checks import *
from skiprec_course.engine import Check as Check
from skiprec_course.engine import NotPassed as NotPassed
from skiprec_course.engine import Outcome as Outcome
from skiprec_course.engine import Verdict as Verdict
from skiprec_course.gumbel.checks import *
from skiprec_course.next_item.checks import *
from skiprec_course.nextitnet.checks import *
from skiprec_course.skiprec.checks import *
from skiprec_course.speed.checks import *
from skiprec_course.straight_through.checks import *
from skiprec_course.students import seed_of as seed_of
from skiprec_course.temperature.checks import *
from skiprec_course.verdict.checks import *

CHECKS: dict[str, Check] = {check.part: check for check in [*globals().values()] if isinstance(check, Check)}
