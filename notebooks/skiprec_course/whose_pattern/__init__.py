"""The room of lesson 11."""
