"""Command `s4 doctor`: look at the machine and the installation, and say what to do."""

from pathlib import Path
from typing import Any

from pipelines.config import DoctorConfig
from pipelines.events import Events
from pipelines.machine.limits import disk, limit_advice, limits, memory, processor
from pipelines.machine.software import encoding, encoding_advice, shadow_advice, software_advice, versions


def doctor(config: DoctorConfig, events: Events) -> dict[str, Any]:
    """Look at the machine.

    Args:
        config: Settings of `s4 doctor`.
        events: Told what takes a moment.

    Returns:
        {versions, encoding, processor, memory, disk, limits, devices, speed, weights, warnings}. Sizes are in bytes,
        speeds in gigaflops. `speed` is None where it was not measured. `warnings` has {rule, message} for each thing to
        do something about.
    """
    here = Path.cwd()
    found: dict[str, Any] = {
        "versions": versions(),
        "encoding": encoding(),
        "processor": processor(),
        "memory": memory(),
        "disk": disk(here),
        "limits": limits(),
    }
    told = software_advice(found["versions"]) + shadow_advice(here) + encoding_advice(found["encoding"])
    told += limit_advice(found["processor"], found["memory"], found["disk"], found["limits"])
    if any(one["rule"] == "package-missing" for one in told):  # the rest needs them
        return {**found, "devices": None, "speed": None, "weights": None, "warnings": told}
    from pipelines.machine.speed import device_advice, devices, speed_advice, thread_speed  # these bring torch
    from pipelines.machine.weights import weights, weights_advice

    found["devices"] = devices()
    events.info("doctor: the speed is measured" if config.measure else "doctor: the speed is not measured")
    found["speed"] = thread_speed() if config.measure else None
    found["weights"] = weights(config.offline)
    told += device_advice(found["devices"])
    told += speed_advice(found["speed"]) if found["speed"] else []
    told += weights_advice(found["weights"])
    return {**found, "warnings": told}
