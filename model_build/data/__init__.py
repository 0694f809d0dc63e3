"""From raw pictures in any of the known layouts to one prepared, checked form on disk, its splits and its report."""
