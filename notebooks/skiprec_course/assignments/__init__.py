"""The room of the graded assignments and the bug hunt."""
