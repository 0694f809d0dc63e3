"""A device joins the fleet in one command, and leaves it in one."""
