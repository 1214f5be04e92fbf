"""Who did what to which object, before and after."""
