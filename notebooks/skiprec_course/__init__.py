"""What teaches in the course "SkipRec from scratch", beside the lessons; what they build stands in `skiprec_lite`.

A room for each lesson, named by its subject (gumbel, temperature, …), with the checks of its exercises and its figures;
one for the assignments. What several rooms need lies here at the top: engine, comparing, students and models (how a
check works), plots, checks (all of them, by one name), practice (copies to write in) and slides.
"""
