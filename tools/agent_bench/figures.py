"""What the measured times say: ratios, the table, and which promise is not kept."""

from typing import Any

from tools.agent_bench.neo.rows import RATIOS as DLR_RATIOS

R18, UNET = "r18, in process", "unet, in process"
TWO = "two models a frame"
BYTES, SHARED = "bytes", "shared memory"
UINT8_BYTES, UINT8 = "uint8, bytes", "uint8, shared memory"
MLSERVER, LITSERVE = "r18, mlserver, bytes", "r18, litserve, base64"
# How a way's name begins when it is one of several of which the best counts.
UNET_OURS = "unet, agent, "
TWO_OURS, TWO_IN_PROCESS = f"{TWO}, agent, ", f"{TWO}, in process, "

# Ratio: limit, and whether it is the most (or the least) that is promised.
LIMITS = {
    "r18_bytes": (1.45, True),
    "r18_shm": (1.25, True),
    "r18_uint8_shm": (1.18, True),
    "unet_best": (1.25, True),
    "mlserver_over_ours": (2.0, False),
    "two_models_fps": (0.9, False),
}


def ratios(rows: dict[str, dict[str, float]], of: str = "p50") -> dict[str, float]:
    """The promised ratios, of the medians (or of "min"); those of peers that were not measured are left out."""
    ours = {way: rows[f"r18, agent, {way}"][of] for way in (BYTES, SHARED, UINT8)}
    found = {
        "r18_bytes": ours[BYTES] / rows[R18][of],
        "r18_shm": ours[SHARED] / rows[R18][of],
        "r18_uint8_shm": ours[UINT8] / rows[R18][of],
        "unet_best": _best(rows, UNET_OURS, of) / rows[UNET][of],
        "two_models_fps": _best(rows, TWO_IN_PROCESS, of) / _best(rows, TWO_OURS, of),
    }
    for name, peer in (("mlserver_over_ours", MLSERVER), ("litserve_over_ours", LITSERVE)):
        if peer in rows:
            found[name] = rows[peer][of] / ours[BYTES]
    found |= {name: rows[over][of] / rows[under][of] for name, (over, under) in DLR_RATIOS.items() if over in rows}
    return {name: round(value, 3) for name, value in found.items()}


def broken(found: dict[str, float]) -> list[str]:
    """What does not keep its limit, a line each."""
    lines = []
    for name, (limit, is_most) in LIMITS.items():
        value = found.get(name)
        if value is None:
            lines.append(f"{name}: not measured")
        elif value > limit if is_most else value < limit:
            lines.append(f"{name}: {value:.2f}, promised {'at most' if is_most else 'at least'} {limit:g}")
    return lines


def as_markdown(figures: dict[str, Any]) -> str:
    """The figures as two tables."""
    lines = [f"{figures['at']}, {figures['machine']}: {figures['runs']} runs of each, interleaved.", ""]
    lines += ["| way | min ms | p50 ms | p99 ms |", "|---|---:|---:|---:|"]
    for name, row in figures["rows"].items():
        lines.append(f"| {name} | {row['min']:.2f} | {row['p50']:.2f} | {row['p99']:.2f} |")
    lines += [f"| {name}: not measured, {reason} | | | |" for name, reason in figures.get("missing", {}).items()]
    lines += ["", "| ratio | of medians | of minima | promised |", "|---|---:|---:|---:|"]
    for name, value in figures["ratios"].items():
        limit, is_most = LIMITS.get(name, (None, True))
        promised = "" if limit is None else f"{'≤' if is_most else '≥'} {limit:g}"
        lines.append(f"| {name} | {value:.2f} | {figures['ratios_of_minima'][name]:.2f} | {promised} |")
    return "\n".join(lines)


def _best(rows: dict[str, dict[str, float]], begins: str, of: str) -> float:
    return min(row[of] for name, row in rows.items() if name.startswith(begins))
