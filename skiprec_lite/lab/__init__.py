"""The long runs behind the lessons: what is run, one run, which of them are missing, and what only they use."""
