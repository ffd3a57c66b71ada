"""At which distance repulsion should stop to grow: an experiment on Cars-196."""
