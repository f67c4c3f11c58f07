"""Look up known vulnerabilities of the tested versions; where no service answers, say so and fail nothing.

.venv/bin/python .ci/audit.py
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PINS = Path(__file__).resolve().parent.parent / "constraints.txt"


def verdict(output: str) -> tuple[int, str]:
    """Return the exit status and a line for what pip-audit wrote.

    Args:
        output: Its JSON; any other text means that the service could not be asked.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, LookupError, TypeError):
        return 0, "pip-audit: left out, because no service answers"
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        return 0, f"pip-audit: left out, because the service knows none of {len(packages)} packages"
    bad = [f"{one['name']} {one['version']}: {fault['id']}" for one in known for fault in one.get("vulns", [])]
    if bad:
        return 1, "pip-audit: " + "; ".join(bad)
    return 0, f"pip-audit: no known vulnerability in {len(known)} of {len(packages)} packages"


def main() -> int:
    """Ask, and print the verdict."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(PINS), "--no-deps", "--disable-pip"]
    try:
        done = subprocess.run(
            [*command, "--format", "json", "--progress-spinner", "off", "--timeout", "10"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        code, line = verdict(done.stdout)
    except subprocess.TimeoutExpired:
        code, line = verdict("")
    print(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
