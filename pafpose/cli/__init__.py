"""The command line: one file per command, each with a ``main()`` that parses ``sys.argv`` and runs it.

Imports at the top of these files stay light, so that ``--help`` and ``--cfg job`` answer at once.
"""
