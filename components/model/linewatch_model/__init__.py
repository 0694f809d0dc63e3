"""A model component: proves its package at install, offers it to the edge agent while it runs. No numpy: it only talks."""
