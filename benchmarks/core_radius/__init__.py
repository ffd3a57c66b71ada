"""At which distance repulsion should stop growing: an experiment on Cars-196."""
