"""The room of lesson 12."""
