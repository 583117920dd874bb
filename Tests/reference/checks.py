"""Named checks, all of which run: a failure of one does not hide the others."""

import sys


def passed(program, checks, said=str, besides=""):
    """Runs checks by their names; prints errors and the number of passed checks. Returns true if all passed.

    `said` makes the text of an error; `besides` is printed after the number.
    """
    failures = 0
    for name, check in checks.items():
        try:
            check()
        except Exception as error:  # Any exception is the failure of this check alone.
            failures += 1
            print(f"{name}: {type(error).__name__}: {said(error)}", file=sys.stderr)
    print(f"{program}: {len(checks) - failures} of {len(checks)} passed{besides}")
    return failures == 0
