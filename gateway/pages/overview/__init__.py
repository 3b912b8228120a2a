"""The cards of the overview: what they say and draw (pure), and the elements that show it."""
