"""The benchmark: "A Metric Learning Reality Check" on Optuna and PML's trainers and testers."""
