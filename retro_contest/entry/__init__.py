"""From an empty folder to a submitted image: templates, builds, pushes."""
