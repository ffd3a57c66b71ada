"""One thread for each test process, before torch starts its own.

Tests compare trainings in several processes to the last bit, and start more processes than there
are cores: sums must not depend on who shares them, and nobody gains by waiting for others.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
