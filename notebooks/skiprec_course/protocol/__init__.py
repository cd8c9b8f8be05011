"""The room of lesson 05."""
