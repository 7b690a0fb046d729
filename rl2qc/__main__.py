"""``python -m rl2qc`` is the ``rl2qc`` command."""

from rl2qc.cli import main

if __name__ == "__main__":
    main()
