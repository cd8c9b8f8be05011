"""The room of lesson 03."""
