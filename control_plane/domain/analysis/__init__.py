"""Whether a new version is as good as the old: sequential tests that stay valid while one looks."""
