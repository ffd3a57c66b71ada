import os
import subprocess
import sys


def test_without_matplotlib_the_error_says_which_install_brings_it() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import pml_potential.analysis\n"
        "from pml_potential.analysis.figure import new_figure\n"
        "try: new_figure(1, 1)\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert "pip install 'pml-potential[benchmark]'" in done.stdout, done.stderr


def test_the_package_imports_no_library_that_draws() -> None:
    code = "import sys, pml_potential.analysis; print({'matplotlib', 'PIL', 'faiss'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "set()", done.stderr
