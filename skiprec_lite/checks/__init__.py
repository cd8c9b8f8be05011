"""Checks of all exercises: check_…(your_function) says not yet, passed, failed or raised, and why."""

from skiprec_lite.checks.engine import Check as Check
from skiprec_lite.checks.engine import NotPassed as NotPassed
from skiprec_lite.checks.engine import Outcome as Outcome
from skiprec_lite.checks.engine import Verdict as Verdict
from skiprec_lite.checks.lesson_01 import *
from skiprec_lite.checks.lesson_02 import *
from skiprec_lite.checks.lesson_03 import *
from skiprec_lite.checks.lesson_04 import *
from skiprec_lite.checks.lesson_05 import *
from skiprec_lite.checks.lesson_06 import *
from skiprec_lite.checks.lesson_07 import *
from skiprec_lite.checks.lesson_07b import *
from skiprec_lite.checks.lesson_09 import *
from skiprec_lite.checks.lesson_10 import *
from skiprec_lite.checks.students import seed_of as seed_of

CHECKS: dict[str, Check] = {check.part: check for check in [*globals().values()] if isinstance(check, Check)}
