"""Land finished files and their manifests in a destination, all or nothing."""
