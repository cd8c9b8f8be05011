"""The room of lesson 10."""
