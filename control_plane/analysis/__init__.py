"""Templates of what is measured, and the runs that measure, with all of their evidence."""
