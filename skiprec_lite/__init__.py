"""The helper package of the course "SkipRec from scratch": one module for each part that a lesson builds."""
