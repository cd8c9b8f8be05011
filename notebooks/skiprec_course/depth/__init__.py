"""The room of lesson 07."""
