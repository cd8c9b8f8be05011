"""The room of lesson 09."""
