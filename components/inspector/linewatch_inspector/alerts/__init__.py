"""Alerts: rules that tell whether a condition holds, and the board that publishes its beginning and its end."""
