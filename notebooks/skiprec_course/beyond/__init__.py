"""The room of lesson 13."""
