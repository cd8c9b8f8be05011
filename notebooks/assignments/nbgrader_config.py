"""What nbgrader has to know of this course. Run it in this folder: nbgrader generate_assignment a1 --create …"""

import os
from pathlib import Path

here = Path(__file__).resolve().parent
# The hidden tests are a module of their own: feedback would show them if they stood in the cells.
os.environ["PYTHONPATH"] = os.pathsep.join([str(here / "hidden"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
# One thread for each student's notebook: several can be graded side by side, and times do not depend on neighbours.
os.environ.setdefault("OMP_NUM_THREADS", "1")

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "skiprec"
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError  # your code here"}
c.ClearSolutions.text_stub = "*Your answer here.*"
c.ExecutePreprocessor.timeout = 30  # seconds for one cell; an endless loop is interrupted, and the next cell runs
c.ExecutePreprocessor.interrupt_on_timeout = True
# A file grading.py that a submission writes into its folder must not stand in for ours.
c.ExecutePreprocessor.extra_arguments = ["--IPKernelApp.ignore_cwd=True"]
